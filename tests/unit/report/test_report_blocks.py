"""Blocks and the way numbers are written in them."""

from __future__ import annotations

import math
import re

import pytest

from chiasm.report import formats
from chiasm.report.blocks import Column, Figure, Figures, Paragraph, Table


def _cells(html: str) -> list[str]:
    return re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", html)


def test_table_formats_aligns_and_emphasises_the_best() -> None:
    columns = [
        Column("method"),
        Column("AP", "right", formats.number(2), max),
        Column("seconds", "right", formats.count, min),
    ]
    table = Table(columns, [["a", 0.5, 12000], ["b", 0.625, 900], ["c", None, 9000]], "caption")
    html = table.__html__()
    assert _cells(html) == [
        *("method", "AP", "seconds"),
        *("a", "0.50", "12\u202f000"),
        *("b", "<strong>0.62</strong>", "<strong>900</strong>"),
        *("c", "–", "9\u202f000"),
    ]
    assert html.count('class="right"') == 8


def test_a_single_row_has_no_best_and_equal_winners_share_it() -> None:
    column = Column("AP", show=formats.number(1), best=max)
    assert "<strong>" not in Table([column], [[1.0]]).__html__()
    assert Table([Column("x"), column], [["a", 1.0], ["b", 1.0]]).__html__().count("<strong>") == 2


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 values, but the table has 2 columns"):
        Table([Column("a"), Column("b")], [[1, 2], [1]])


def test_figures_show_value_unit_interval_and_note() -> None:
    items = [
        Figure("accuracy", 0.712, "%", (0.691, 0.734), note="chance: 10 %", show=formats.percent(1)),
        Figure("missing", None),
    ]
    html = Figures(items).__html__()
    assert ">71.2<" in html
    assert "95\u202f% interval 69.1 to 73.4" in html
    assert "chance: 10 %" in html
    assert ">–<" in html
    assert html.count("interval") == 1


def test_empty_lines_divide_paragraphs() -> None:
    assert Paragraph("one\nstill one\n\n\n\ntwo\n\n").__html__().count("<p>") == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1, "1"),
        (0.01234, "0.0123"),
        (8.4199, "8.42"),
        (1250.4, "1\u202f250"),
        (-0.5, "\u22120.5"),
        (99.96, "100"),
        (3e-7, "3e\u221207"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_compact_numbers(value: float | None, shown: str) -> None:
    assert formats.compact(value) == shown


def test_infinite_values_are_written_not_fatal() -> None:
    assert formats.compact(math.inf) == "inf"
    assert formats.number(2)(math.inf) == "inf"
    assert formats.count(math.nan) == "–"
    assert formats.percent(1)(math.nan) == "–"


def test_long_names_keep_both_ends() -> None:
    name = "photos/summer/IMG_20240203_112233.jpg"
    shown = formats.elided(name, 20)
    assert len(shown) == 20
    assert name.startswith(shown.split("…")[0])
    assert name.endswith(shown.split("…")[1])
    assert formats.elided("short", 20) == "short"
    assert formats.plain_line("a\x00b\nc\u202ed") == "a b c d"
