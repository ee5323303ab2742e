"""The sampler of views: distributions, bounds, and what can be known before a picture is read."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from chiasm.core.seeds import stream
from chiasm.core.views import Blur, ColourJitter, ViewSpec
from chiasm.data.augment.sample import Crop, ViewDraws, blur_taps, sample


def draws(spec: ViewSpec, num_pictures: int, seed: int = 0) -> ViewDraws:
    return sample(spec, num_pictures, stream(seed, "test"))


def boxes(drawn: ViewDraws, height_px: int, width_px: int) -> np.ndarray:
    crops = [drawn.crop(row, height_px, width_px) for row in range(len(drawn.flips))]
    return np.array([(crop.left_px, crop.top_px, crop.width_px, crop.height_px) for crop in crops])


def slow_crop(generator: np.random.Generator, height: int, width: int, spec: ViewSpec) -> tuple[int, int, int, int]:
    """The published procedure, step by step: left, top, width, height."""
    for _ in range(10):
        area = height * width * generator.uniform(spec.min_area, spec.max_area)
        aspect = math.exp(generator.uniform(math.log(spec.min_aspect), math.log(spec.max_aspect)))
        wide, tall = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = generator.integers(0, width - wide + 1), generator.integers(0, height - tall + 1)
            return int(left), int(top), wide, tall
    aspect = width / height
    if aspect < spec.min_aspect:
        wide, tall = width, round(width / spec.min_aspect)
    elif aspect > spec.max_aspect:
        wide, tall = round(height * spec.max_aspect), height
    else:
        wide, tall = width, height
    return (width - wide) // 2, (height - tall) // 2, wide, tall


@pytest.mark.parametrize(("height", "width"), [(300, 300), (300, 500), (500, 220), (200, 1000)])
def test_crops_are_distributed_as_published(height: int, width: int) -> None:
    spec, num = ViewSpec(size_px=32), 4000
    ours = boxes(draws(spec, num), height, width)
    generator = stream(1, "slow")
    slow = np.array([slow_crop(generator, height, width, spec) for _ in range(num)])
    spread = np.sqrt((ours.var(axis=0) + slow.var(axis=0)) / num) + 1e-9
    assert (abs(ours.mean(axis=0) - slow.mean(axis=0)) < 4.5 * spread).all()
    for share in (0.1, 0.5, 0.9):
        quantiles = np.quantile(ours, share, axis=0), np.quantile(slow, share, axis=0)
        assert abs(quantiles[0] - quantiles[1]).max() < 0.06 * max(height, width)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (700, 1), (2, 3), (50, 2000), (2000, 50), (224, 224)])
def test_crops_lie_in_the_picture(height: int, width: int) -> None:
    left, top, wide, tall = boxes(draws(ViewSpec(size_px=224), 300), height, width).T
    assert min(left.min(), top.min()) >= 0
    assert min(wide.min(), tall.min()) >= 1
    assert (left + wide).max() <= width
    assert (top + tall).max() <= height


def test_fallback_is_the_largest_centred_box_of_an_allowed_aspect() -> None:
    drawn = draws(ViewSpec(size_px=32, min_area=0.9), 20)
    assert drawn.crop(0, 100, 1000) == Crop((1000 - 133) // 2, 0, 133, 100)
    assert drawn.crop(0, 1000, 75) == Crop(0, 450, 75, 100)


def test_positions_reach_every_edge() -> None:
    left, top, wide, tall = boxes(draws(ViewSpec(size_px=32, min_area=0.4, max_area=0.8), 2000), 12, 12).T
    for start, length in ((left, wide), (top, tall)):
        assert start.min() == 0
        assert (start + length).max() == 12


def test_row_does_not_depend_on_how_many_follow() -> None:
    spec = ViewSpec(size_px=64, solarise=0.3)
    few, many = draws(spec, 3), draws(spec, 50)
    assert boxes(few, 90, 120).tolist() == boxes(many, 90, 120)[:3].tolist()
    np.testing.assert_array_equal(few.colours.mixes, many.colours.mixes[:3])
    np.testing.assert_array_equal(few.blur_radii_px, many.blur_radii_px[:3])
    np.testing.assert_array_equal(few.solarises, many.solarises[:3])
    assert boxes(few, 90, 120).tolist() != boxes(draws(spec, 3, seed=1), 90, 120).tolist()


def test_needed_side_gives_every_crop_enough_pixels() -> None:
    drawn = draws(ViewSpec(size_px=96), 3000)
    needed = drawn.needed_sides_px()
    generator = stream(0, "aspects")
    for row, short in enumerate(needed.tolist()):
        long = int(short * generator.uniform(1, 2))
        height, width = (short, long) if generator.random() < 0.5 else (long, short)
        crop = drawn.crop(row, height, width)
        assert min(crop.width_px, crop.height_px) >= 96


def test_needed_side_is_tight_where_only_one_crop_is_possible() -> None:
    spec = ViewSpec(size_px=96, min_area=0.25, max_area=0.25, min_aspect=1, max_aspect=1)
    assert set(draws(spec, 10).needed_sides_px().tolist()) == {192}
    whole = ViewSpec(size_px=96, min_area=1, max_area=1, min_aspect=1, max_aspect=1)
    assert set(draws(whole, 10).needed_sides_px().tolist()) == {96}


def test_choices_have_their_probabilities_and_are_independent() -> None:
    spec = ViewSpec(size_px=224, flip=0.5, grey=0.2, solarise=0.1, jitter=ColourJitter(probability=0.7))
    drawn, num = draws(spec, 20_000), 20_000
    blurred = drawn.blur_radii_px > 0
    # The smallest sigmas (below 0.25 of 0.1 to 2) are left out.
    expected = {"flip": 0.5, "colour": 1 - 0.3 * 0.8, "blur": 0.5 * 1.75 / 1.9, "solarise": 0.1}
    chosen = {"flip": drawn.flips, "colour": drawn.recolours, "blur": blurred, "solarise": drawn.solarises}
    for name, share in expected.items():
        assert abs(chosen[name].mean() - share) < 4 * math.sqrt(share * (1 - share) / num), name
    correlations = np.corrcoef(np.stack(list(chosen.values())).astype(float)) - np.eye(4)
    assert abs(correlations).max() < 4.5 / math.sqrt(num)


def test_probability_one_and_zero_are_certain() -> None:
    never = draws(ViewSpec(size_px=224, flip=0, jitter=None, grey=0, blur=None, solarise=0), 500)
    assert not (never.flips | never.recolours | never.solarises | (never.blur_radii_px > 0)).any()
    blur = Blur(probability=1, min_sigma_px=0.5)
    always = draws(ViewSpec(size_px=224, flip=1, grey=1, blur=blur, solarise=1), 500)
    assert (always.flips & always.recolours & always.solarises & (always.blur_radii_px > 0)).all()


def test_colour_factors_span_their_ranges_and_never_turn_negative() -> None:
    jitter = ColourJitter(probability=1, brightness=0.5, contrast=0, saturation=1.5, hue=0)
    drawn = draws(ViewSpec(size_px=32, jitter=jitter, grey=0), 4000)
    gains = drawn.colours.mixes.sum(axis=2)[:, 0]
    assert abs(gains.min() - 0.5) < 0.01
    assert abs(gains.max() - 1.5) < 0.01
    assert abs(gains.mean() - 1) < 0.02
    # Eigenvalues of the map are the gain (on greys) and gain times saturation (on chroma, twice).
    saturations = (np.trace(drawn.colours.mixes, axis1=1, axis2=2) / gains - 1) / 2
    assert abs(saturations.min()) < 0.01
    assert abs(saturations.max() - 2.5) < 0.01
    assert (drawn.colours.mean_mixes == 0).all()


def test_views_that_keep_their_colours_have_the_identity() -> None:
    drawn = draws(ViewSpec(size_px=32), 200)
    kept = ~drawn.recolours
    assert 0 < kept.sum() < 200
    np.testing.assert_allclose(drawn.colours.mixes[kept], np.tile(np.eye(3), (kept.sum(), 1, 1)), atol=1e-12)
    assert (drawn.colours.mean_mixes[kept] == 0).all()


def test_blur_taps_are_a_gaussian_in_exact_steps() -> None:
    sigmas = np.array([0.3, 0.7, 1.0, 1.6, 2.0])
    radii = np.ceil(3 * sigmas).astype(int)
    taps = blur_taps(sigmas, radii).astype(float)
    offsets = np.arange(taps.shape[1]) - taps.shape[1] // 2
    assert (taps.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(taps * 256, np.round(taps * 256))
    np.testing.assert_array_equal(taps, taps[:, ::-1])
    assert (taps[abs(offsets) > radii[:, None]] == 0).all()
    for sigma, row in zip(sigmas, taps, strict=True):
        continuous = np.exp(-0.5 * (offsets / sigma) ** 2)
        assert abs(row - continuous / continuous.sum()).max() <= 1.5 / 256


def test_very_wide_blur_is_still_one() -> None:
    sigma = 300.0
    taps = blur_taps(np.array([sigma]), np.array([900]))[0].astype(float)
    offsets = np.arange(-900, 901)
    assert taps.sum() == 1
    # Cut off at three sigma, a Gaussian keeps 98.7 % of its spread.
    assert abs(np.sqrt((taps * offsets**2).sum()) / sigma - 0.987) < 0.01


def test_blur_scales_with_the_size_of_the_view() -> None:
    blur = Blur(probability=1, min_sigma_px=2, max_sigma_px=2)
    radii = {size: draws(ViewSpec(size_px=size, blur=blur), 1).blur_radii_px[0] for size in (224, 112, 32, 16, 2, 1)}
    assert radii == {224: 6, 112: 3, 32: 1, 16: 0, 2: 0, 1: 0}
    strong = Blur(probability=1, min_sigma_px=500, max_sigma_px=500)
    assert draws(ViewSpec(size_px=8, blur=strong), 1).blur_radii_px[0] == 7


def test_left_out_blur_would_not_have_changed_a_byte() -> None:
    generator = stream(0, "pixels")
    hardest = np.where(np.indices((32, 32)).sum(axis=0) % 2, 255, 0).astype(float)
    for pixels in (hardest, generator.integers(0, 256, (32, 32)).astype(float)):
        kernel = cv2.getGaussianKernel(3, 0.2499, cv2.CV_64F)
        np.testing.assert_array_equal(np.round(cv2.sepFilter2D(pixels, -1, kernel, kernel)), pixels)
