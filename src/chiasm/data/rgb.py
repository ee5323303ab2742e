"""From Pillow's many pixel modes to 8 bit RGB, by the rules that `data.decode` states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8
from PIL import Image


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels of a loaded picture; transparency is laid on white.

    Raises:
        ValueError: the mode has no reading as RGB, or the values are not finite.
    """
    wide = _WIDE_MODES.get(image.mode)
    if wide is not None:
        grey = wide(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.asarray(image.convert("RGB"))


def _from_16_bit(values: Shaped[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """0 to 65535 linearly onto 0 to 255, rounded (65535 = 255 * 257)."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_integers(values: Int[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if low >= 0 and high <= 65535:
        return _from_16_bit(values)
    return _stretched(values.astype(np.float64))


def _from_floats(values: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    if not np.isfinite(values).all():
        raise ValueError("some values are not finite")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return np.rint(values * 255).astype(np.uint8)
    if low >= 0 and high <= 255:
        return np.rint(values).astype(np.uint8)
    return _stretched(values.astype(np.float64))


def _stretched(values: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """The least value becomes 0, the greatest 255; a flat picture becomes black."""
    span = values.max() - values.min()
    return np.rint((values - values.min()) * (255 / span if span else 0)).astype(np.uint8)


_WIDE_MODES: dict[str, Callable[[Shaped[np.ndarray, "H W"]], UInt8[np.ndarray, "H W"]]] = {
    "I;16": _from_16_bit,
    "I;16L": _from_16_bit,
    "I;16B": _from_16_bit,
    "I;16N": _from_16_bit,
    "I": _from_integers,
    "F": _from_floats,
}
