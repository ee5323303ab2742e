"""Points that move: their places in pixels, on the page and in marks."""

from __future__ import annotations

import re

import numpy as np
import pytest

from chiasm.report.marks import CORNERS, path_of
from chiasm.report.morph import Morph, fitted
from chiasm.report.page import Page, Section

START = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0], [0.0, 5.0]])
LABELS = np.array([0, 1, 1, -1])


def test_both_maps_fill_one_drawing_on_one_scale() -> None:
    end = START / 2
    first, second = fitted(START, end, 220, 140, 10)
    np.testing.assert_allclose(first[0], [10, 120])
    np.testing.assert_allclose(first[2], [210, 20])
    np.testing.assert_allclose(second[2], [110, 70])
    same, _ = fitted(np.ones((3, 2)), np.ones((3, 2)), 100, 50, 5)
    np.testing.assert_allclose(same, [[50, 25]] * 3)


def test_every_point_stands_on_the_page_with_where_it_goes() -> None:
    end = START[::-1].copy()
    block = Morph.of(START, end, LABELS, ("cat", "dog"), ("one", "two"))
    assert [(group.name, len(group.starts)) for group in block.groups] == [("dog", 2), ("cat", 1), ("no class", 1)]
    first, second = fitted(START, end, block.width_px, block.height_px, 12)
    expected = np.concatenate([first[[1, 2]], second[[1, 2]]], axis=1).ravel()
    found = [float(number) for number in block.groups[0].places.split()]
    assert found == pytest.approx(expected, abs=0.05)
    html = Page("t").add(Section("s").add(block, block)).html()
    assert html.count('<figure class="morph">') == 2
    assert html.count("sha256-") == 1
    figure = html[html.index('<figure class="morph">') : html.index("</figure>")]
    assert len(re.findall(r'<path d="[^"]*" transform=', figure)) == 4
    assert 'type="range"' in figure


def test_marks_are_as_large_as_each_other_and_differ() -> None:
    for shape, corners in CORNERS.items():
        assert 0.99 < np.linalg.norm(corners, axis=1).max() < 1.1, shape
    assert len({path_of(shape, 4) for shape in CORNERS}) == len(CORNERS)
