"""Patches drawn: every patch at its place, vectors that keep their cosines, and a page that answers to a hand."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.explaining import PatchPainter, PatchTokens
from chiasm.report import similarity as block
from chiasm.report.blocks import Columns, Details, Paragraph
from chiasm.report.page import Page, Section
from chiasm.report.patches import PatchSheets, component_pictures, painted, similarity
from chiasm.report.script import Script, scripts_of
from chiasm.report.similarity import quantised

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
)


def found(num_pictures: int = 3, rows: int = 4, columns: int = 5, width: int = 24, seed: int = 0) -> PatchTokens:
    generator = np.random.default_rng(seed)
    squares = generator.integers(0, 256, (num_pictures, 40, 40, 3), dtype=np.uint8)
    # A common part, so that cosines differ in their first digits; lengths differ, too.
    tokens = generator.normal(size=(num_pictures, rows, columns, width)) + 0.7 * generator.normal(size=width)
    tokens *= generator.uniform(0.1, 30, (num_pictures, rows, columns, 1))
    return PatchTokens(squares, tokens.astype(np.float32), tuple(f"<{place}>.png" for place in range(num_pictures)))


def cosines(tokens: np.ndarray) -> np.ndarray:
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return flat @ flat.T


def test_a_patch_is_painted_at_its_place():
    colours = np.random.default_rng(0).random((3, 4, 3))
    drawn = painted(colours, 120)
    assert drawn.shape == (120, 120, 3)
    assert np.abs(drawn[20::40, 15::30] / 255 - colours).max() < 0.003


def test_components_stand_beside_the_picture_and_above_the_words():
    sheets = PatchSheets(side_px=80)
    assert isinstance(sheets, PatchPainter)
    square = np.full((40, 40, 3), 90, np.uint8)
    colours = np.random.default_rng(0).random((4, 5, 3))
    drawn = sheets.components(square, colours, "title", "note")
    left = (drawn.shape[1] - 164) // 2
    assert (drawn[:80, left : left + 80] == 90).all()
    assert (drawn[:80, left + 84 : left + 164] == painted(colours, 80)).all()
    assert (drawn[80:] != sheets.components(square, colours, "another", "note")[80:]).any()
    large = PatchSheets(side_px=200).components(np.zeros((500, 500, 3), np.uint8), colours, "title", "note")
    assert large.shape[1] == 2 * 400 + 4


@pytest.mark.parametrize("num_heads", [1, 3, 6, 12])
def test_every_head_has_a_panel_on_its_own_scale(num_heads: int):
    square = np.full((48, 48, 3), 90, np.uint8)
    attention = np.full((num_heads, 6, 6), 1e-9)
    attention[:, 2, 3] = np.linspace(1e-6, 1, num_heads)
    drawn = PatchSheets(panel_px=60).heads(square, attention, "title", "note").astype(int)
    coloured = np.ptp(drawn, axis=2) > 30
    columns = num_heads + 1 if num_heads < 5 else 4 if num_heads < 8 else 5
    rows = -(-(num_heads + 1) // columns)
    left = (drawn.shape[1] - columns * 64 + 4) // 2
    for place in range(num_heads + 1):
        row, column = divmod(place, columns)
        top = row * 80 + 16
        panel = coloured[top : top + 60, left + column * 64 : left + column * 64 + 60]
        assert panel[25, 35] == (place > 0), place
        assert not panel[50:].any()
    assert rows * 80 < drawn.shape[0] < rows * 80 + 120


@pytest.mark.parametrize("width", [3, 24, 384])
def test_cosines_in_8_bits_are_right_to_within_what_is_told(width: int):
    tokens = found(2, 6, 6, width).tokens
    levels, told = quantised(tokens)
    assert np.abs(levels).max(axis=-1).min() == 127
    off = np.abs(cosines(levels) - cosines(tokens)).max()
    assert 0 < off <= told < 0.035


def test_vectors_that_are_nothing_stay_nothing_and_huge_ones_do_not_overflow():
    tokens = np.zeros((1, 2, 2, 4), np.float32)
    tokens[0, 0, 0] = [3e38, -3e38, 1e38, 0]
    tokens[0, 1, 1] = [1e-38, 0, 0, 0]
    levels, told = quantised(tokens)
    assert levels[0, 0, 0].tolist() == [127, -127, 42, 0]
    assert levels[0, 1, 1].tolist() == [127, 0, 0, 0]
    assert (levels[0, 0, 1] == 0).all()
    assert told < 0.02


def test_the_page_holds_the_vectors_of_each_picture():
    patches = found()
    written = Page("t").add(Section("s").add(similarity(patches))).html()
    texts = re.findall(r'data-vectors="([^"]*)"', written)
    levels = np.stack([np.frombuffer(base64.b64decode(text), np.int8) for text in texts]).reshape(patches.tokens.shape)
    assert (levels == quantised(patches.tokens)[0]).all()
    assert "<0>.png" not in written
    assert written.count('role="application"') == written.count('tabindex="0"') == 3


def test_only_scripts_of_blocks_may_run():
    figure = similarity(found())
    script = figure.script
    nested = Section("s").add(Columns([Paragraph("a"), Details("d", [figure])]), figure)
    assert scripts_of([nested]) == (script,)
    written = Page("t").add(nested, Section("u").add(figure)).html()
    assert written.count("<script>") == 1
    assert f"script-src '{script.digest}'" in written
    assert f"<script>{script.text}</script>" in written
    assert "<script" not in Page("t").add(Section("s").add(Paragraph("a"))).html()
    with pytest.raises(ValueError, match="must not end"):
        Script("'</SCRIPT>'")


def test_too_many_vectors_for_a_page(monkeypatch):
    monkeypatch.setattr(block, "MOST_BYTES", 2 * 4 * 5 * 24)
    with pytest.raises(InputError, match="at most 2 pictures of this size"):
        similarity(found())


def test_component_pictures_are_one_for_each():
    patches = found()
    written = component_pictures(patches, np.random.default_rng(0).random((3, 4, 5, 3))).__html__()
    assert written.count("<img") == 3
    assert "&lt;2&gt;.png, and its patches in the colours of their components" in written


@dataclass(frozen=True)
class Hand:
    """A block that acts as a person would once the page stands, and notes what is told after each act."""

    acts: str

    @property
    def script(self) -> Script:
        return Script(
            """
            const figure = document.querySelector("figure.similarity");
            const [a, b, c] = figure.querySelectorAll(".patches");
            const notes = [];
            const note = () => notes.push(figure.querySelector(".told").textContent);
            const point = (kind, place, row, column) => {
              const box = place.getBoundingClientRect();
              const clientX = box.left + (column + 0.5) * box.width / 5;
              const clientY = box.top + (row + 0.5) * box.height / 4;
              place.dispatchEvent(new PointerEvent(kind, { clientX, clientY, bubbles: true }));
              note();
            };
            const press = (place, key) => {
              place.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
              note();
            };
            note();
            """
            + self.acts
            + """
            const pixels = [a, b, c].map((place) => place.querySelector("canvas"))
              .map((canvas) => [...canvas.getContext("2d").getImageData(0, 0, 5, 4).data].join(","));
            document.title = JSON.stringify([notes, pixels, figure.querySelector(".least").textContent]);
            """
        )

    def __html__(self) -> str:
        return ""


def acted(patches: PatchTokens, acts: str, tmp_path: Path) -> tuple[list[str], np.ndarray, float]:
    """What was told after each act, the maps as they are drawn at the end, and the lower end of their scale."""
    path = tmp_path / "page.html"
    Page("t").add(Section("s").add(similarity(patches), Hand(acts))).write(path)
    words = [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    assert title[1] != "t", "the page's own policy kept a script from running"
    notes, pixels, least = json.loads(html.unescape(title[1]))
    maps = np.array([[int(number) for number in each.split(",")] for each in pixels]).reshape(3, 4, 5, 4)
    return notes, maps, float(least)


def told(patches: PatchTokens, picture: int, row: int, column: int) -> str:
    """What the page must say of a patch, from the vectors as they are."""
    num = patches.tokens[0, ..., 0].size
    mine = cosines(patches.tokens)[picture * num + row * 5 + column].copy()
    mine[picture * num : (picture + 1) * num] = -2
    best = int(mine.argmax())
    other, rest = divmod(best, num)
    return (
        f"<{picture}>.png, row {row + 1}, column {column + 1}. Most alike in another picture: "
        f"<{other}>.png, row {rest // 5 + 1}, column {rest % 5 + 1}, cosine {mine[best]:.2f}."
    )


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_hand_points_clicks_and_moves_by_keys(tmp_path: Path):
    patches = found(width=96)
    acts = """
    point("pointermove", b, 1, 4);
    point("pointerleave", b, 0, 0);
    point("click", c, 3, 0);
    press(c, "ArrowUp");
    press(c, "ArrowLeft");
    press(c, "ArrowRight");
    press(c, "x");
    """
    notes, maps, least = acted(patches, acts, tmp_path)
    places = [(0, 2, 2), (1, 1, 4), (0, 2, 2), (2, 3, 0), (2, 2, 0), (2, 2, 0), (2, 2, 1), (2, 2, 1)]
    assert notes == [told(patches, *place) for place in places]
    mine = cosines(patches.tokens)[2 * 20 + 11].reshape(3, 4, 5)
    _, error = quantised(patches.tokens)
    assert least == pytest.approx(mine.min(), abs=0.005 + error)
    # Opacity tells the level: its root, of 0.85.
    level = (maps[..., 3] / (0.85 * 255)) ** 2
    assert np.abs(level - (mine - mine.min()) / (1 - mine.min())).max() < 0.02 + 2 * error
    assert maps[2, 2, 1, 3] == round(255 * 0.85)
