"""Fits of foreign processors: settings, sides, and the ways of resampling against each other."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.data.fits import AnyFit, CentreCrop, Fit, Squash
from chiasm.data.reference_fits import BothSides, LongerSide, OwnSize, ReferenceFit, ShorterSide
from chiasm.data.resample import LARGE_PIXELS, Window, resample

ALL: list[Fit] = [
    CentreCrop(),
    Squash(),
    ShorterSide(size_px=32, resize_px=36),
    BothSides(size_px=32),
    LongerSide(size_px=32, fill=(9, 8, 7)),
    OwnSize(size_px=32),
]


class Holder(Config):
    fit: AnyFit


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def whole(rows: int, columns: int) -> Window:
    return Window(rows, columns, 0, 0, rows, columns)


@pytest.mark.parametrize("fit", ALL)
@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (32, 32), (1, 400), (400, 1), (33, 31)])
def test_every_fit_makes_a_square_of_any_picture_and_survives_its_settings(fit, shape):
    assert fit(noise(*shape), 32).shape == (32, 32, 3)
    again = Holder.model_validate({"fit": fit.model_dump(mode="json")}).fit
    assert again == fit
    left, top, right, bottom = fit.seen(*shape)
    assert left < right
    assert top < bottom


@pytest.mark.parametrize("fit", [fit for fit in ALL if isinstance(fit, ReferenceFit)])
def test_the_square_is_of_the_side_that_the_fit_says(fit):
    assert fit.side_px(518) == 32
    assert fit(noise(80, 100), 64).shape == (64, 64, 3)


def test_our_own_fits_follow_the_trunk():
    assert CentreCrop().side_px(96) == Squash().side_px(96) == 96


def test_at_another_size_the_border_grows_along():
    picture = noise(100, 140)
    double = ShorterSide(size_px=64, resize_px=72)(picture, 64)
    np.testing.assert_array_equal(ShorterSide(size_px=32, resize_px=36)(picture, 64), double)


def test_how_small_a_picture_may_come():
    assert ShorterSide(size_px=224, resize_px=256).min_side_px(224) == 512
    assert ShorterSide(size_px=224, headroom=1.5).min_side_px(224) == 336
    assert BothSides(size_px=224, headroom=None).min_side_px(224) is None
    assert OwnSize(size_px=224).min_side_px(224) is None


@pytest.mark.parametrize("settings", [{"headroom": 0.5}, {"filter": "cubic"}, {"size_px": 0}, {"middle": "left"}])
def test_impossible_settings(settings):
    with pytest.raises(InputError):
        ShorterSide.parse({"size_px": 32, **settings}, "a fit")


def test_what_is_outside_of_the_picture_has_the_colour_asked_for():
    square = LongerSide(size_px=32, fill=(9, 8, 7))(np.full((10, 40, 3), 200, np.uint8), 32)
    assert (square[:12] == (9, 8, 7)).all()
    assert (square[12:20] == 200).all()
    assert (square[20:] == (9, 8, 7)).all()


@pytest.mark.parametrize(("middle", "first"), [("down", 1), ("even", 2)])
def test_where_the_odd_pixel_goes(middle, first):
    picture = noise(32, 35)
    square = OwnSize(size_px=32, middle=middle)(picture, 32)
    np.testing.assert_array_equal(square, picture[:, first : first + 32])


@pytest.mark.parametrize(("middle", "first"), [("down", 2), ("even", 1)])
def test_where_the_odd_pixel_of_a_border_goes(middle, first):
    picture = noise(32, 29)
    square = OwnSize(size_px=32, middle=middle)(picture, 32)
    np.testing.assert_array_equal(square[:, first : first + 29], picture)
    assert not square[:, :first].any()


@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
def test_the_swift_way_is_within_one_level_of_pillow(filter_):
    picture = noise(600, 1000)
    assert picture.shape[0] * picture.shape[1] > LARGE_PIXELS
    exact = resample(picture, whole(134, 224), filter_, exact=True)
    swift = resample(picture, whole(134, 224), filter_, exact=False)
    number = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[filter_]
    np.testing.assert_array_equal(exact, np.asarray(Image.fromarray(picture).resize((224, 134), number)))
    assert 0 < np.abs(exact.astype(int) - swift).max() <= 1


def test_pictures_that_must_not_be_written_to():
    picture = noise(600, 1000)
    picture.flags.writeable = False
    assert resample(picture, whole(60, 100), "bicubic", exact=False).shape == (60, 100, 3)


def test_a_window_is_cut_out_of_the_whole():
    picture = noise(90, 120)
    full = resample(picture, whole(45, 61), "bicubic", exact=False)
    part = resample(picture, Window(45, 61, 3, 10, 40, 50), "bicubic", exact=False)
    np.testing.assert_array_equal(part, full[3:40, 10:50])


def test_the_window_of_an_elongated_picture_is_that_of_the_whole():
    # Smooth, as what Pillow rounds between its two passes differs where every pixel is another.
    coarse = Image.fromarray(noise(2, 40))
    picture = np.asarray(coarse.resize((4000, 20), Image.Resampling.BICUBIC))
    full = np.asarray(Image.fromarray(picture).resize((44800, 224), Image.Resampling.BICUBIC))
    part = resample(picture, Window(224, 44800, 0, 22288, 224, 22512), "bicubic", exact=True)
    assert np.abs(part.astype(int) - full[:, 22288:22512]).max() <= 1
