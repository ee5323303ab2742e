"""Resizing as the reference processors do it: antialiased, with Pillow's filters, to its very numbers where they count.

Two ways, both of which release Python's lock. Pillow's own is what checkpoints were trained and published with.
PyTorch's has 16 bit weights and uses the processor's vector unit: 8 to 13 times as fast on large pictures, and equal
but for one level of 255 in one or two values of a thousand (`benchmarks/preprocessing.py`). OpenCV has no antialiased
filter but pixel areas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch.nn import functional

Filter = Literal["nearest", "lanczos", "bilinear", "bicubic"]

_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_SWIFT: frozenset[Filter] = frozenset({"bilinear", "bicubic"})

LARGE_PIXELS = 1 << 19
"""Pictures of more pixels may be resized the swift way; below, Pillow takes at most 3 ms."""

_WHOLE_PIXELS = 1 << 22
"""Of a resized picture that is made whole before the window is cut out of it; 224 px high it may be 18,000 px wide."""


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a resized picture.

    Attributes:
        rows, columns: size in pixels of the whole resized picture.
        top, left, bottom, right: edges of the part within it.
    """

    rows: int
    columns: int
    top: int
    left: int
    bottom: int
    right: int


def resample(
    picture: UInt8[np.ndarray, "H W 3"], window: Window, filter_: Filter, *, exact: bool
) -> UInt8[np.ndarray, "_ _ 3"]:
    """A window of a resized picture.

    Args:
        picture: RGB, 0 to 255.
        window: how large the whole would be, and which part of it is wanted.
        filter_: of the resampling.
        exact: resize as Pillow does even where it takes long.
    """
    height, width, _ = picture.shape
    inside = np.s_[window.top : window.bottom, window.left : window.right]
    if (height, width) == (window.rows, window.columns):
        return picture[inside]
    if window.rows * window.columns > _WHOLE_PIXELS:
        return _boxed(picture, window, filter_)
    if filter_ in _SWIFT and height * width > LARGE_PIXELS and not exact:
        return _swift(picture, window, filter_)[inside]
    whole = Image.fromarray(picture).resize((window.columns, window.rows), _PILLOW[filter_])
    return np.asarray(whole)[inside]


def _swift(picture: UInt8[np.ndarray, "H W 3"], window: Window, filter_: Filter) -> UInt8[np.ndarray, "_ _ 3"]:
    # The kernel reads channels that lie last in memory as they are: nothing is copied or converted. PyTorch has no
    # arrays that must not be written to, such as pictures that a cache shares.
    own = picture if picture.flags.writeable else picture.copy()
    pixels = torch.from_numpy(own).permute(2, 0, 1)[None]
    size = (window.rows, window.columns)
    return functional.interpolate(pixels, size, mode=filter_, antialias=True)[0].permute(1, 2, 0).numpy()


def _boxed(picture: UInt8[np.ndarray, "H W 3"], window: Window, filter_: Filter) -> UInt8[np.ndarray, "_ _ 3"]:
    """The window alone, for pictures so elongated that the whole would take gigabytes.

    Pillow samples beyond the edges of the box, as it would within the whole. But it keeps the edges in single precision
    and may take rows before columns then, which can move a value by some levels where contrasts are hard.
    """
    height, width, _ = picture.shape
    across, down = width / window.columns, height / window.rows
    box = (window.left * across, window.top * down, window.right * across, window.bottom * down)
    size = (window.right - window.left, window.bottom - window.top)
    return np.asarray(Image.fromarray(picture).resize(size, _PILLOW[filter_], box=box))
