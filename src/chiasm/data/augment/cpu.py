"""Augmented views on a CPU: one picture at a time, a few fused passes over bytes, outside Python's global lock.

Crop and resize are one pass, flip, the whole colour jitter (one affine map), blur and solarise one each, and only those
that were drawn run. All of them are OpenCV or PyTorch calls that release the lock, so threads scale.

Resizing filters with a triangle that widens when the crop shrinks (Pillow's BILINEAR): plain linear interpolation of a
photo shrunk by two is off by some 4 of 255 levels per pixel. OpenCV has no fast filter of that kind (its INTER_AREA
takes four times as long and is still off by 1 to 2 levels), PyTorch has; for crops that are enlarged both libraries'
filters are the same and OpenCV's call costs less.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from chiasm.data.augment.colour import Recolouring
from chiasm.data.augment.sample import ViewDraws


class OneByOne:
    """Views of a batch that are made as soon as their picture is there, by the thread that brings it.

    Args:
        draws: one for each view, of as many pictures as will come.
    """

    def __init__(self, draws: Sequence[ViewDraws]) -> None:
        self._draws = tuple(draws)
        self._images = tuple(np.empty((len(each), 3, each.size_px, each.size_px), np.uint8) for each in draws)

    def put(self, place: int, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        """Make the views of one picture."""
        for draws, images in zip(self._draws, self._images, strict=True):
            render(picture, draws, place, images[place])

    def views(self) -> tuple[UInt8[Tensor, "B 3 _ _"], ...]:
        """One tensor for each view, once all pictures were put."""
        return tuple(torch.from_numpy(images) for images in self._images)


def render(picture: UInt8[np.ndarray, "H W 3"], draws: ViewDraws, row: int, out: UInt8[np.ndarray, "3 _ _"]) -> None:
    """Execute one row of draws on one picture.

    Args:
        picture: RGB, 0 to 255; never written to.
        draws: of as many pictures as the batch has.
        row: which of them this picture is.
        out: receives the view, channels first, both sides `draws.size_px`; must be contiguous.
    """
    crop = draws.crop(row, picture.shape[0], picture.shape[1])
    right, bottom = crop.left_px + crop.width_px, crop.top_px + crop.height_px
    view = resize(picture[crop.top_px : bottom, crop.left_px : right], draws.size_px)
    if draws.flips[row]:
        view = np.asarray(cv2.flip(view, 1))
    if draws.recolours[row]:
        view = _recolour(view, draws.colours, row)
    if draws.blur_radii_px[row]:
        view = _blur(view, draws, row)
    if draws.solarises[row]:
        # The complement of v is 255 - v, and the smaller of the two is v below 128 and 255 - v from there on.
        view = np.minimum(view, np.invert(view))
    cv2.split(view, [out[0], out[1], out[2]])


def resize(picture: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Resize to a square, linearly when enlarging, with a widened triangle filter when shrinking."""
    height, width = picture.shape[:2]
    if height <= size_px and width <= size_px:
        return np.asarray(cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_LINEAR))
    # Copied, because a tensor cannot share read-only or backward memory, and the kernel would copy a cut-out itself.
    # Channels stay last in memory, which is the layout that PyTorch's 8-bit kernel is fast on.
    pixels = torch.from_numpy(picture.copy())[None].permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(pixels, (size_px, size_px), mode="bilinear", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def _recolour(view: UInt8[np.ndarray, "H W 3"], colours: Recolouring, row: int) -> UInt8[np.ndarray, "H W 3"]:
    matrix = np.empty((3, 4))
    matrix[:, :3] = colours.mixes[row]
    matrix[:, 3] = colours.mean_mixes[row] @ cv2.mean(view)[:3]
    return np.asarray(cv2.transform(view, matrix))


def _blur(view: UInt8[np.ndarray, "H W 3"], draws: ViewDraws, row: int) -> UInt8[np.ndarray, "H W 3"]:
    radius, centre = int(draws.blur_radii_px[row]), draws.blur_taps.shape[1] // 2
    taps = draws.blur_taps[row, centre - radius : centre + radius + 1]
    return np.asarray(cv2.sepFilter2D(view, -1, taps, taps, borderType=cv2.BORDER_REFLECT_101))
