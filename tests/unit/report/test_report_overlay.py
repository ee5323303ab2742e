"""Heat over pictures: every patch at its pixels, colours that keep their order, legends that fit."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.core.explaining import HeatPainter
from chiasm.data.fits import CentreCrop, Fit, Squash
from chiasm.report import palette
from chiasm.report.overlay import HeatOverlay, blended, spread


def spike(rows: int, columns: int, row: int, column: int) -> np.ndarray:
    heat = np.zeros((rows, columns))
    heat[row, column] = 1
    return heat


@pytest.mark.parametrize("size", [(120, 300), (300, 120), (64, 64), (97, 151)])
@pytest.mark.parametrize("fit", [CentreCrop(), CentreCrop(share=0.875), Squash()])
@pytest.mark.parametrize("patch", [(0, 0), (2, 5), (4, 1)])
def test_a_hot_patch_lies_at_its_pixels(size: tuple[int, int], fit: Fit, patch: tuple[int, int]):
    """What the model sees at a patch is marked in the picture, and the heat of this patch must be there."""
    marked, cell = 7 * 16, 16
    picture = np.zeros((*size, 3), np.uint8)
    left, top, right, bottom = fit.seen(*size)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    inside = (np.floor((rows - top) / (bottom - top) * 7) == patch[0]) & (
        np.floor((columns - left) / (right - left) * 7) == patch[1]
    )
    picture[inside] = 255
    square = fit(picture, marked)[..., 0].astype(float)
    window = square[patch[0] * cell : (patch[0] + 1) * cell, patch[1] * cell : (patch[1] + 1) * cell]
    assert window.sum() > 0.8 * square.sum()
    assert window.mean() > 0.75 * 255
    heat = spread(spike(7, 7, *patch), size, (left, top, right, bottom))
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    assert inside[hottest]
    if patch != (0, 0):
        middle = heat > 0.5
        found = [rows[middle].mean(), columns[middle].mean()]
        assert found == pytest.approx([rows[inside].mean(), columns[inside].mean()], abs=1)


def test_heat_at_the_middle_of_a_patch_is_the_patch():
    heat = np.random.default_rng(0).random((3, 5))
    spreaded = spread(heat, (30 * 3, 30 * 5), (-0.5, -0.5, 149.5, 89.5))
    assert np.allclose(spreaded[14::30, 14::30], heat, atol=1e-9)


def test_even_heat_is_even_to_the_edge_and_never_below_zero():
    assert np.allclose(spread(np.full((4, 4), 0.3), (40, 60), (10, 0, 50, 40)), 0.3)
    assert spread(spike(7, 7, 3, 3), (70, 70), (0, 0, 70, 70)).min() == 0


def test_what_is_not_seen_is_darkened_and_the_rest_is_not():
    picture = np.full((40, 100, 3), 200, np.uint8)
    drawn = blended(picture, np.zeros((4, 4)), (30, 0, 70, 40))
    assert (drawn[:, 30:70] == 200).all()
    assert (drawn[:, :30] == 70).all()
    assert (drawn[:, 70:] == 70).all()
    whole = blended(picture, np.zeros((4, 4)), (-20, -20, 120, 60))
    assert (whole == 200).all()


def test_the_hottest_patch_gets_the_last_colour_and_cold_ones_none():
    picture = np.full((70, 70, 3), 90, np.uint8)
    drawn = blended(picture, 1e-6 * spike(7, 7, 3, 3), (0, 0, 70, 70)).astype(int)
    assert np.abs(drawn[35, 35] - palette.heat()[-1]).max() < 60
    assert (drawn[0, 0] == 90).all()


def test_colours_of_heat_rise_in_lightness_in_even_steps():
    ramp = palette.heat().astype(float) / 255
    linear = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ np.linalg.inv(np.array(palette._CONES_TO_RGB)).T)
    lab = cones @ np.linalg.inv(np.array(palette._OKLAB_TO_CONES)).T
    every = lab[::15]
    lightness = np.diff(every[:, 0])
    assert lightness.min() > 0
    assert lightness.max() < 1.3 * lightness.min()
    distance = np.linalg.norm(np.diff(every, axis=0), axis=1)
    assert distance.max() < 1.6 * distance.min()


@pytest.mark.parametrize(
    ("size", "picture_size"),
    [((32, 32), (480, 480)), ((600, 900), (600, 900)), ((2000, 4000), (640, 1280)), ((2, 900), (2, 900))],
)
def test_the_picture_comes_in_a_size_to_look_at_with_a_legend_below(size, picture_size):
    painter = HeatOverlay()
    assert isinstance(painter, HeatPainter)
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    drawn = painter(picture, spike(7, 7, 1, 1), (0, 0, size[1], size[0]), "cat", "probability 0.93")
    height, width = picture_size
    assert drawn.shape[1] == max(width, 360)
    assert drawn.shape[0] > height + 50
    legend = drawn[height:]
    assert tuple(legend[0, 0]) == palette.channels(palette.PAPER.light)
    assert (legend[..., 0] < 100).any()


def test_long_titles_are_cut():
    picture = np.zeros((400, 400, 3), np.uint8)
    painter = HeatOverlay()
    drawn = painter(picture, np.zeros((2, 2)), (0, 0, 400, 400), "a very long name " * 20, "note " * 90)
    assert drawn.shape[1] == 480
    assert (drawn[480:, -10:] == palette.channels(palette.PAPER.light)).all()


def test_a_patch_is_found_again_in_the_painted_picture():
    picture = np.full((100, 300, 3), 128, np.uint8)
    drawn = HeatOverlay()(picture, spike(7, 7, 0, 6), (100, 0, 200, 100), "cat", "").astype(int)
    colour = np.abs(drawn[:160] - drawn[:160].mean(axis=2, keepdims=True)).sum(axis=2)
    row, column = np.unravel_index(colour.argmax(), colour.shape)
    # 480 px wide, so 1.6 px for one: the last patch of the first row begins at 100 + 6 / 7 * 100.
    assert 0 <= row <= 1.6 * 100 / 7
    assert 1.6 * (100 + 600 / 7) <= column <= 1.6 * 200
