"""Colour jitter as matrices, against the operations done one after the other."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from chiasm.core.seeds import stream
from chiasm.data.augment import colour

GREY = np.array([0.299, 0.587, 0.114])


def recolour(factors: Sequence[float] | np.ndarray, hue: float) -> colour.Recolouring:
    """One view's map from brightness, contrast, saturation and hue."""
    brightness, contrast, saturation = np.array(factors, dtype=float)[:, None]
    return colour.recolour(brightness, contrast, saturation, np.array([hue], dtype=float))


def apply(recolouring: colour.Recolouring, pixels: np.ndarray, row: int = 0) -> np.ndarray:
    """The affine map on pixels of shape [..., 3]."""
    mean = pixels.reshape(-1, 3).mean(axis=0)
    return pixels @ recolouring.mixes[row].T + recolouring.mean_mixes[row] @ mean


def photo_like(seed: int, side: int = 64, spread: float = 30.0) -> np.ndarray:
    """Smooth random colours of moderate saturation around the middle, like most of a photo."""
    generator = stream(seed, "photo")
    coarse = 128 + spread * generator.standard_normal((6, 6, 1)) + 0.4 * spread * generator.standard_normal((6, 6, 3))
    return np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 0, 255)


def slow_brightness(pixels: np.ndarray, factor: float) -> np.ndarray:
    return factor * pixels


def slow_contrast(pixels: np.ndarray, factor: float) -> np.ndarray:
    return factor * pixels + (1 - factor) * (pixels @ GREY).mean()


def slow_saturation(pixels: np.ndarray, factor: float) -> np.ndarray:
    return factor * pixels + (1 - factor) * (pixels @ GREY)[..., None]


SLOW: tuple[Callable[[np.ndarray, float], np.ndarray], ...] = (slow_brightness, slow_contrast, slow_saturation)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_order_of_operations_gives_the_same_map(order: tuple[int, ...]) -> None:
    factors = stream(7, "factors", *order).uniform(0.2, 1.8, 3)
    pixels = photo_like(3)
    expected = pixels
    for operation in order:
        expected = SLOW[operation](expected, factors[operation])
    found = recolour(factors, 0.0)
    np.testing.assert_allclose(apply(found, pixels), expected, atol=1e-9)


@pytest.mark.parametrize("operation", range(3))
def test_hue_may_come_before_or_after(operation: int) -> None:
    factors = [1.0, 1.0, 1.0]
    factors[operation] = 1.4
    pixels, turn = photo_like(4), recolour([1.0, 1.0, 1.0], 0.13)
    together = apply(recolour(factors, 0.13), pixels)
    np.testing.assert_allclose(together, apply(turn, SLOW[operation](pixels, 1.4)), atol=1e-9)
    np.testing.assert_allclose(together, SLOW[operation](apply(turn, pixels), 1.4), atol=1e-9)


def test_rows_do_not_mix() -> None:
    generator = stream(0, "rows")
    factors, hues = generator.uniform(0.2, 1.8, (3, 5)), generator.uniform(-0.2, 0.2, 5)
    together = colour.recolour(factors[0], factors[1], factors[2], hues)
    for row in range(5):
        alone = recolour(factors[:, row], hues[row])
        np.testing.assert_allclose(together.mixes[row], alone.mixes[0])
        np.testing.assert_allclose(together.mean_mixes[row], alone.mean_mixes[0])


def turn_hue(shift: float) -> np.ndarray:
    return recolour([1.0, 1.0, 1.0], shift).mixes[0]


def test_hue_keeps_luma_and_greys_and_can_be_turned_back() -> None:
    np.testing.assert_allclose(GREY @ turn_hue(0.17), GREY, atol=1e-12)
    np.testing.assert_allclose(turn_hue(0.17) @ np.ones(3), np.ones(3), atol=1e-12)
    np.testing.assert_allclose(turn_hue(0.17) @ turn_hue(-0.17), np.eye(3), atol=1e-12)
    assert abs(turn_hue(0.17) - np.eye(3)).max() > 0.5


@pytest.mark.parametrize("rgb", [(1.0, 0.2, 0.2), (0.2, 1.0, 0.2), (0.2, 0.2, 1.0), (0.8, 0.7, 0.1)])
@pytest.mark.parametrize("shift", [-0.2, -0.1, 0.1, 0.2])
def test_hue_turns_in_the_usual_direction(rgb: tuple[float, float, float], shift: float) -> None:
    red, green, blue = turn_hue(shift) @ np.array(rgb)
    found = (colorsys.rgb_to_hsv(red, green, blue)[0] - colorsys.rgb_to_hsv(*rgb)[0] + 0.5) % 1 - 0.5
    # The two circles run alike but not evenly.
    assert abs(found - shift) < 0.06


def pillow_hue(picture: Image.Image, shift: float) -> Image.Image:
    """The hue of HSV turned on bytes."""
    hue, saturation, value = (np.asarray(band) for band in picture.convert("HSV").split())
    turned = ((hue.astype(int) + round(shift * 256)) % 256).astype(np.uint8)
    bands = [Image.fromarray(band) for band in (turned, saturation, value)]
    return Image.merge("HSV", bands).convert("RGB")


def pillow_jitter(pixels: np.ndarray, factors: np.ndarray, hue: float, order: np.ndarray) -> tuple[np.ndarray, bool]:
    """The customary jitter on bytes with rounding in between, and whether anything was clipped on the way."""
    picture, clipped = Image.fromarray(pixels), False
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for operation in order.tolist():
        if operation == 3:
            picture = pillow_hue(picture, hue)
        else:
            picture = enhancers[operation](picture).enhance(float(factors[operation]))
        values = np.asarray(picture)
        clipped = clipped or bool(values.min() == 0 or values.max() == 255)
    return np.asarray(picture), clipped


def test_jitter_without_hue_equals_pillow_up_to_rounding() -> None:
    generator = stream(2, "pillow")
    differences = []
    for trial in range(60):
        pixels = photo_like(trial).astype(np.uint8)
        factors, order = generator.uniform(0.6, 1.4, 3), generator.permutation(4)
        expected, clipped = pillow_jitter(pixels, factors, 0.0, order[order < 3])
        found = recolour(factors, 0.0)
        if not clipped:
            differences.append(abs(apply(found, pixels.astype(float)) - expected).mean())
    # Pillow cuts off fractions, half a level on average, after each of the three operations.
    assert len(differences) > 20
    assert np.max(differences) < 2.5
    assert np.mean(differences) < 1.6


def test_jitter_with_hue_is_near_pillow() -> None:
    generator = stream(3, "pillow")
    differences, changes = [], []
    for trial in range(60):
        pixels = photo_like(trial).astype(np.uint8)
        factors, order = generator.uniform(0.6, 1.4, 3), generator.permutation(4)
        hue = generator.uniform(-0.1, 0.1)
        expected, clipped = pillow_jitter(pixels, factors, hue, order)
        found = recolour(factors, hue)
        if not clipped:
            differences.append(abs(apply(found, pixels.astype(float)) - expected).mean())
            changes.append(abs(expected - pixels.astype(float)).mean())
    assert len(differences) > 20
    # YIQ keeps luma, HSV keeps the largest channel: a few levels apart, well below what the jitter itself changes.
    assert np.mean(differences) < 0.15 * np.mean(changes)
    assert np.mean(differences) < 3
