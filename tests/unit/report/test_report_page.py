"""The page: one valid file, nothing from outside, nothing unescaped, never half-written."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from chiasm.core.errors import InputError, MissingExtraError
from chiasm.report import _templates
from chiasm.report.blocks import (
    Column,
    Columns,
    Command,
    Details,
    Facts,
    Figure,
    Figures,
    Heading,
    Note,
    Paragraph,
    Table,
)
from chiasm.report.formats import number
from chiasm.report.page import Page, Section, anchors
from chiasm.report.pictures import CORRECT, WRONG, ContactSheet, Picture, Pictures, swatches
from chiasm.report.plots import Bar, Series, bars, confusion, curves, scatter_map

HOSTILE = """<script>alert("1")</script>'"&<img src=x onerror=alert(2)> $x_{$ 猫🙂 \x01{{ 7*7 }}"""
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Reads a page strictly: every element is closed in order; keeps tags, attributes, ids and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        if self.open:
            raise ValueError(f"never closed: {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def _pixels(side_px: int = 24) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


def _full_page(word: str) -> Page:
    """A page with every kind of block, `word` in every place that takes text."""
    picture = Picture.of(_pixels(), word, word, WRONG, swatches([word]))
    steps = np.arange(5)
    section = Section(word, word, word).add(
        Heading(word),
        Paragraph(f"{word}\n\n{word}"),
        Note(word, word),
        Figures([Figure(word, 0.5, word, (0.4, 0.6), note=word)]),
        Table([Column(word), Column(word, "right", number(1), max)], [[word, 1.0], [word, None]], word),
        Facts([(word, word)]),
        Command(word),
        Details(word, [Paragraph(word), Command(word)]),
        Columns([Paragraph(word), picture]),
        Pictures([picture], word),
        ContactSheet([picture], word),
        curves([Series(word, steps, steps * 1.0)], word, word, references=[Series(word, steps, steps)], title=word),
        bars([Bar(word, 0.5, (0.2, 0.7))], word, reference=(word, 0.1), title=word, caption=word),
        confusion(np.array([[3, 1], [0, 2]]), [word, "b"], title=word, caption=word),
        scatter_map(
            np.random.default_rng(1).normal(size=(6, 2)),
            np.array([0, 1, 0, 1, -1, 0]),
            [word, "b"],
            picture=lambda _: _pixels(),
            names=[word] * 6,
            title=word,
            caption=word,
        ),
    )
    page = Page(word, word, word, [(word, word)], [Paragraph(word)])
    return page.add(section, Section("Second"), Section("Second"))


@pytest.fixture(scope="module")
def hostile_html() -> str:
    return _full_page(HOSTILE).html()


def test_every_block_is_well_formed_html(hostile_html: str) -> None:
    reader = Reader(hostile_html)
    expected = {"table", "caption", "details", "figure", "figcaption", "svg", "img", "nav", "dl", "pre", "aside", "h3"}
    assert expected <= set(reader.tags)
    assert reader.tags.count("h1") == 1


def test_hostile_text_stays_text(hostile_html: str) -> None:
    reader = Reader(hostile_html)
    assert "script" not in reader.tags
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert "49" not in "".join(reader.text).split()
    assert reader.tags.count("img") == hostile_html.count('src="data:image/')
    assert '<script>alert("1")</script>' in "".join(reader.text)


def test_nothing_is_fetched_from_outside(hostile_html: str) -> None:
    assert re.findall(r"https?://[^\s\"'<]*", hostile_html) == ["http://www.w3.org/2000/svg"] * 4
    assert "@import" not in hostile_html
    assert not re.search(r"url\((?!#)", hostile_html)
    reader = Reader(hostile_html)
    assert all(value.startswith("data:image/") for value in reader.values("src"))
    assert all(value.startswith(("#", "data:")) for value in reader.values("href"))
    policy = next(value for value in reader.values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_ids_are_unique_and_every_reference_leads_somewhere(hostile_html: str) -> None:
    reader = Reader(hostile_html)
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in reader.values("href") if value.startswith("#")]
    targets += re.findall(r"url\(#([\w-]+)\)", hostile_html) + reader.values("aria-labelledby")
    assert set(targets) <= set(ids)


def test_pictures_plots_and_tables_speak_to_those_who_do_not_see(hostile_html: str) -> None:
    reader = Reader(hostile_html)
    pictures = [value for tag, name, value in reader.attributes if tag == "img" and name == "alt"]
    assert len(pictures) == reader.tags.count("img") > 0
    assert all(pictures)
    drawings = [value for tag, name, value in reader.attributes if tag == "svg" and name == "aria-label"]
    assert len(drawings) == reader.tags.count("svg") == 4
    assert reader.values("scope").count("col") == 2
    assert reader.values("scope").count("row") == 2
    assert "wrong" in reader.text


def test_equal_pages_are_equal_text(hostile_html: str) -> None:
    assert _full_page(HOSTILE).html() == hostile_html


def test_contents_list_the_sections_in_order() -> None:
    html = Page("t").add(Section("Über alles"), Section("b & c"), Section("b & c")).html()
    contents = re.findall(r'<li><a href="#([^"]+)">([^<]+)</a>', html)
    assert contents == [("über-alles", "Über alles"), ("b-c", "b &amp; c"), ("b-c-2", "b &amp; c")]
    assert "<nav" not in Page("t").add(Section("only one")).html()


def test_anchors_are_unique_even_against_numbered_titles_and_the_page_itself() -> None:
    found = anchors(["a", "a 2", "a", "!!", "content", ""])
    assert len(set(found)) == 6
    assert "content" not in found


def test_a_page_is_complete_after_each_section(tmp_path: Path) -> None:
    page, path = Page("growing", made="2026-03-01"), tmp_path / "deep" / "index.html"
    for number_of_sections in range(4):
        page.write(path)
        html = path.read_text(encoding="utf-8")
        assert Reader(html).tags.count("section") == number_of_sections
        assert "2026-03-01" in html
        page.add(Section(f"part {number_of_sections}").add(Paragraph("text")))
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]


class _Broken:
    def __html__(self) -> str:
        raise RuntimeError("a block that fails")


def test_a_failing_block_leaves_the_old_page(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    page = Page("first")
    page.write(path)
    before = path.read_bytes()
    page.add(Section("second").add(_Broken()))
    with pytest.raises(RuntimeError, match="a block that fails"):
        page.write(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another place"):
        Page("t").write(tmp_path / "file" / "folder" / "index.html")


def test_undecodable_file_names_can_be_written(tmp_path: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    steps = np.arange(2)
    section = Section(name).add(Paragraph(name), curves([Series(name, steps, steps * 1.0)]))
    Page("t").add(section).write(tmp_path / "index.html")
    assert "caf?.png" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    _templates._environment.cache_clear()
    with pytest.raises(MissingExtraError, match=re.escape("chiasm[report]")):
        Page("t").html()


def test_dark_colours_come_with_the_scheme_and_never_on_paper() -> None:
    html = Page("t").html()
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    assert html.count("--series-1:") == 2


def test_marks_carry_border_symbol_and_word() -> None:
    html = Picture.of(_pixels(), "a", mark=CORRECT).__html__()
    assert "is-right" in html
    assert ">✓<" in html
    assert ">correct<" in html
