"""The two executions of augmentation, against explicit formulas, Pillow and each other."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.core.seeds import stream
from chiasm.core.views import Blur, ColourJitter, ViewSpec
from chiasm.data.augment import batched, cpu
from chiasm.data.augment.sample import ViewDraws, sample

Execution = Callable[[np.ndarray, ViewDraws], np.ndarray]


def photos(num: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random pictures with detail at several scales, [num, height, width, 3]."""
    generator = stream(seed, "photos")
    pictures = np.zeros((num, height, width, 3))
    for cells, strength in ((4, 60), (12, 30), (48, 15)):
        for picture in pictures:
            coarse = generator.standard_normal((cells, cells, 3)) * strength
            picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(pictures + 128, 0, 255).astype(np.uint8)


def one_by_one(pictures: np.ndarray, draws: ViewDraws) -> np.ndarray:
    """Channels last for easier comparison."""
    out = np.empty((len(pictures), 3, draws.size_px, draws.size_px), np.uint8)
    for row, picture in enumerate(pictures):
        cpu.render(picture, draws, row, out[row])
    return out.transpose(0, 2, 3, 1)


def all_at_once(pictures: np.ndarray, draws: ViewDraws) -> np.ndarray:
    pixels = torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32))
    crops = [draws.crop(row, *picture.shape[:2]) for row, picture in enumerate(pictures)]
    return batched.render(pixels, draws, crops).permute(0, 2, 3, 1).numpy()


both = pytest.mark.parametrize("execute", [one_by_one, all_at_once])


def plain(size_px: int, flip: float = 0.0, area: float = 1.0) -> ViewSpec:
    """A view of which only crop and flip are left."""
    return ViewSpec(size_px=size_px, min_area=area, max_area=area, flip=flip, jitter=None, grey=0, blur=None)


def whole(spec_size_px: int, flip: float = 0.0) -> ViewSpec:
    return plain(spec_size_px, flip).model_copy(update={"min_aspect": 1.0, "max_aspect": 1.0})


@both
def test_whole_picture_at_its_own_size_is_unchanged(execute: Execution) -> None:
    pictures = photos(4, 40, 40)
    np.testing.assert_array_equal(execute(pictures, sample(whole(40), 4, stream(0))), pictures)
    mirrored = execute(pictures, sample(whole(40, flip=1.0), 4, stream(0)))
    np.testing.assert_array_equal(mirrored, pictures[:, :, ::-1])


@both
@pytest.mark.parametrize("size_px", [17, 32, 64, 128])
def test_crop_and_resize_equal_pillow(execute: Execution, size_px: int) -> None:
    pictures = photos(6, 90, 110)
    draws = sample(plain(size_px, area=0.4), 6, stream(1))
    found = execute(pictures, draws)
    for row, picture in enumerate(pictures):
        crop = draws.crop(row, 90, 110)
        box = (crop.left_px, crop.top_px, crop.left_px + crop.width_px, crop.top_px + crop.height_px)
        expected = Image.fromarray(picture).crop(box).resize((size_px, size_px), Image.Resampling.BILINEAR)
        assert abs(found[row].astype(int) - np.asarray(expected)).max() <= 1


@both
def test_colours_are_the_affine_map_rounded_and_clipped(execute: Execution) -> None:
    jitter = ColourJitter(probability=1)
    spec = whole(32).model_copy(update={"jitter": jitter, "grey": 0.3})
    pictures, draws = photos(12, 32, 32), sample(spec, 12, stream(2))
    found = execute(pictures, draws)
    for row, picture in enumerate(pictures.astype(float)):
        offset = draws.colours.mean_mixes[row] @ picture.mean(axis=(0, 1))
        exact = np.clip(picture @ draws.colours.mixes[row].T + offset, 0, 255)
        # OpenCV's 8-bit kernel works with weights in steps of 1/1024.
        assert abs(found[row] - exact).max() < 0.5 + 3 * 255 / 2048


@both
def test_grey_views_have_equal_channels(execute: Execution) -> None:
    draws = sample(whole(32).model_copy(update={"grey": 1.0}), 3, stream(3))
    views = execute(photos(3, 32, 32), draws).astype(int)
    assert np.ptp(views, axis=3).max() == 0
    assert np.ptp(views) > 50


@both
def test_blur_is_the_gaussian_of_its_taps(execute: Execution) -> None:
    blur = Blur(probability=0.7, min_sigma_px=2, max_sigma_px=9)
    draws = sample(whole(48).model_copy(update={"blur": blur}), 8, stream(4))
    assert len(set(draws.blur_radii_px.tolist())) > 3
    pictures = photos(8, 48, 48)
    found, centre = execute(pictures, draws), draws.blur_taps.shape[1] // 2
    for row, picture in enumerate(pictures):
        padded = np.pad(picture.astype(float), ((centre, centre), (centre, centre), (0, 0)), mode="reflect")
        taps = draws.blur_taps[row].astype(float)
        down = sum(tap * padded[place : place + 48] for place, tap in enumerate(taps))
        across = sum(tap * np.asarray(down)[:, place : place + 48] for place, tap in enumerate(taps))
        np.testing.assert_array_equal(found[row], np.floor(np.asarray(across) + 0.5))


@both
def test_blur_wider_than_the_view_leaves_hardly_anything(execute: Execution) -> None:
    blur = Blur(probability=1, min_sigma_px=500, max_sigma_px=500)
    draws = sample(whole(8).model_copy(update={"blur": blur}), 3, stream(9))
    pictures = photos(3, 8, 8)
    spread = execute(pictures, draws).astype(float).std(axis=(1, 2))
    assert (spread < 0.2 * pictures.std(axis=(1, 2))).all()


@both
def test_solarise_inverts_the_upper_half_after_everything_else(execute: Execution) -> None:
    spec = whole(32).model_copy(update={"solarise": 0.5})
    pictures, draws = photos(8, 32, 32), sample(spec, 8, stream(5))
    assert 0 < draws.solarises.sum() < 8
    inverted = np.where(pictures < 128, pictures, 255 - pictures)
    expected = np.where(draws.solarises[:, None, None, None], inverted, pictures)
    np.testing.assert_array_equal(execute(pictures, draws), expected)


@pytest.mark.parametrize(("size_px", "height", "width"), [(32, 32, 32), (48, 150, 100), (64, 40, 60), (8, 3, 200)])
def test_both_executions_agree_on_everything(size_px: int, height: int, width: int) -> None:
    blur = Blur(probability=0.5, min_sigma_px=0.1 * 224 / size_px, max_sigma_px=2 * 224 / size_px)
    draws = sample(ViewSpec(size_px=size_px, blur=blur, solarise=0.2), 24, stream(6))
    pictures = photos(24, height, width)
    difference = abs(one_by_one(pictures, draws).astype(int) - all_at_once(pictures, draws))
    # The resized bytes may be one level apart, which strong contrast and saturation multiply.
    gains = abs(draws.colours.mixes).sum(axis=2).max(axis=1)
    assert (difference.max(axis=(1, 2, 3)) <= 2 + np.ceil(gains)).all()
    assert difference.mean() < 0.3
    assert (difference > 2).mean() < 0.02


def test_picture_memory_of_any_kind_is_read_and_never_written() -> None:
    spec = ViewSpec(size_px=24, solarise=0.5)
    for side in (20, 60):
        draws = sample(spec, 6, stream(7))
        frozen = photos(6, side, side)
        frozen.flags.writeable = False
        expected = one_by_one(frozen.copy(), draws)
        np.testing.assert_array_equal(one_by_one(frozen, draws), expected)
        backward = np.ascontiguousarray(frozen[:, ::-1, ::-1])[:, ::-1, ::-1]
        before = backward.copy()
        np.testing.assert_array_equal(one_by_one(backward, draws), expected)
        planes = np.ascontiguousarray(frozen.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(one_by_one(planes, draws), expected)
        np.testing.assert_array_equal(backward, before)


@both
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1)])
def test_tiny_pictures_are_enlarged(execute: Execution, height: int, width: int) -> None:
    pictures = np.full((2, height, width, 3), 77, np.uint8)
    assert (execute(pictures, sample(plain(16, area=0.3), 2, stream(8))) == 77).all()
