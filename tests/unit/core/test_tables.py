"""Tables of figures and where they go."""

from __future__ import annotations

import csv

import pytest
from rich.console import Console

from chiasm.core.estimates import Estimate
from chiasm.core.places import cache_folder
from chiasm.core.predictors import Record
from chiasm.core.tables import Table, Tabled, write_csv
from chiasm.surfaces.show import show

HALF = Estimate(value=0.5, low=0.25, high=0.75)
TABLE = Table(("model", "top-1", "mAP", "never"), (("a, b", HALF, 0.0, None), ("c", None, None, None)))


class Answer(Record):
    def table(self) -> Table:
        return TABLE


def test_comma_separated_values_keep_0_apart_from_nothing(tmp_path) -> None:
    write_csv(tmp_path / "t.csv", TABLE)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["model", "top-1", "top-1 low", "top-1 high", "mAP", "never"],
        ["a, b", "0.5", "0.25", "0.75", "0.0", ""],
        ["c", "", "", "", "", ""],
    ]


def test_people_see_0_as_0_and_nothing_as_a_dash() -> None:
    assert isinstance(Answer(), Tabled)
    console = Console(width=80)
    with console.capture() as capture:
        show(Answer(), as_json=False, console=console)
    lines = [line.split() for line in capture.get().splitlines()]
    assert lines == [["model", "top-1", "mAP"], ["a,", "b", "0.500", "0.000"], ["0.25–0.75"], ["c", "–", "–"]]


def test_remarks_stand_below_the_table(tmp_path) -> None:
    class Remarked(Record):
        def table(self) -> Table:
            return Table(("model", "top-1", "why not"), (("a", 0.5, None), ("b", None, "it is [blind]")), "why not")

    console = Console(width=80)
    with console.capture() as capture:
        show(Remarked(), as_json=False, console=console)
    assert [line.split() for line in capture.get().splitlines()] == [
        ["model", "top-1"],
        ["a", "0.500"],
        ["b", "–"],
        ["–", "b:", "it", "is", "[blind]"],
    ]
    write_csv(tmp_path / "t.csv", Remarked().table())
    assert (tmp_path / "t.csv").read_text().splitlines()[2] == "b,,it is [blind]"


def test_a_row_has_a_value_for_each_column() -> None:
    with pytest.raises(ValueError, match="row 0 has 1 values"):
        Table(("a", "b"), (("x",),))


def test_the_cache_lies_where_the_person_wants_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("CHIASM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_folder() == tmp_path / "shared" / "chiasm"
    monkeypatch.setenv("HOME", str(tmp_path))
    for useless in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", useless)
        assert cache_folder() == tmp_path / ".cache" / "chiasm"
