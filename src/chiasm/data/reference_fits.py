"""The reference processors' ways to make a square: resize, then crop or fill up, to the same pixels.

A resize is antialiased, with Pillow's filters, and a length is rounded down to whole pixels, as Pillow's, torchvision's
and transformers' processors all do. They differ in where the odd pixel of a crop goes; `middle` says which is followed.

Large pictures are where time goes, and where the last level of a value means least. So unless `headroom` is None, a
JPEG may be decoded at a reduced scale (see `data.decode`), and pictures of more than half a megapixel are resized the
swift way (see `data.resample`). Smaller pictures that are decoded in full come out equal to the last bit.
"""

from __future__ import annotations

from abc import abstractmethod
from math import ceil
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from chiasm.core.config import Config
from chiasm.data.resample import Filter, Window, resample

Middle = Literal["down", "even", "start"]


class ReferenceFit(Config):
    """What all these fits share.

    Attributes:
        size_px: side of the square.
        filter: of the resampling.
        middle: where the crop begins when the pixels left over are odd in number: "down", one less on the left and on
            top (transformers with Pillow), or "even", at the even one of both places, and squares that are filled up
            get one less on the left and on top (torchvision, timm, open_clip); or "start", at the left and on top (a
            strided convolution, which leaves out what does not fill a patch).
        fill: colour of what lies outside of the picture, RGB 0 to 255.
        headroom: how many times the resized picture's shorter side a JPEG must have at least after decoding at a
            reduced scale. None: pictures of any size are decoded in full and resized exactly as Pillow does.
    """

    size_px: int = Field(gt=0)
    filter: Filter = "bicubic"
    middle: Middle = "down"
    fill: tuple[int, int, int] = (0, 0, 0)
    headroom: float | None = Field(default=2.0, ge=1)

    def side_px(self, trunk_px: int) -> int:
        return self.size_px

    def min_side_px(self, size_px: int) -> int | None:
        return None if self.headroom is None else ceil(self._least_side_px(size_px) * self.headroom)

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        rows, columns, top, left = self._placed(height_px, width_px, self.size_px)
        down, across = height_px / rows, width_px / columns
        return left * across, top * down, (left + self.size_px) * across, (top + self.size_px) * down

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
        rows, columns, top, left = self._placed(picture.shape[0], picture.shape[1], size_px)
        window = Window(
            rows, columns, max(top, 0), max(left, 0), min(top + size_px, rows), min(left + size_px, columns)
        )
        part = resample(picture, window, self.filter, exact=self.headroom is None)
        if part.shape[:2] == (size_px, size_px):
            return part
        square = np.empty((size_px, size_px, 3), np.uint8)
        square[:] = self.fill
        square[window.top - top : window.bottom - top, window.left - left : window.right - left] = part
        return square

    @abstractmethod
    def _resized(self, height_px: int, width_px: int, size_px: int) -> tuple[int, int]:
        """Height and width of the whole picture after resizing, of which the square is the middle."""

    @abstractmethod
    def _least_side_px(self, size_px: int) -> int:
        """What the shorter side of any picture is resized to at most."""

    def _placed(self, height_px: int, width_px: int, size_px: int) -> tuple[int, int, int, int]:
        """Height and width of the whole after resizing, and the square's top and left edge in it."""
        rows, columns = self._resized(height_px, width_px, size_px)
        return rows, columns, _first(rows - size_px, self.middle), _first(columns - size_px, self.middle)


class Resizing(ReferenceFit):
    """Fits that resize.

    Attributes:
        resize_px: the length that a side is resized to before the square is cut out; by default that of the square.
    """

    resize_px: int | None = Field(default=None, gt=0)

    def _least_side_px(self, size_px: int) -> int:
        return self._target(size_px)

    def _target(self, size_px: int) -> int:
        """`resize_px`, grown with a square that is asked for at another size."""
        return (self.resize_px or self.size_px) * size_px // self.size_px


class ShorterSide(Resizing):
    """The shorter side is resized to a length, then the middle is cut out ("resize to 256, crop 224")."""

    kind: Literal["shorter_side"] = "shorter_side"

    def _resized(self, height_px: int, width_px: int, size_px: int) -> tuple[int, int]:
        target = self._target(size_px)
        if height_px <= width_px:
            return target, int(target * width_px / height_px)
        return int(target * height_px / width_px), target


class BothSides(Resizing):
    """Both sides are resized to a length, proportions given up, then the middle is cut out where that is less."""

    kind: Literal["both_sides"] = "both_sides"

    def _resized(self, height_px: int, width_px: int, size_px: int) -> tuple[int, int]:
        target = self._target(size_px)
        return target, target


class LongerSide(Resizing):
    """The longer side is resized to a length, and what is missing on the other is filled up."""

    kind: Literal["longer_side"] = "longer_side"

    def _resized(self, height_px: int, width_px: int, size_px: int) -> tuple[int, int]:
        ratio = max(height_px, width_px) / self._target(size_px)
        return max(round(height_px / ratio), 1), max(round(width_px / ratio), 1)


class OwnSize(ReferenceFit):
    """Nothing is resized: the middle is cut out, and filled up where the picture is smaller."""

    kind: Literal["own_size"] = "own_size"

    def min_side_px(self, size_px: int) -> int | None:
        return None

    def _resized(self, height_px: int, width_px: int, size_px: int) -> tuple[int, int]:
        return height_px, width_px

    def _least_side_px(self, size_px: int) -> int:
        return size_px


def _first(left_over: int, middle: Middle) -> int:
    """Where the square begins along one side, given by how much the whole is longer; negative where it is shorter."""
    if middle == "start":
        return 0
    if middle == "down":
        return left_over // 2
    # Python rounds halves to even.
    return round(left_over / 2) if left_over >= 0 else -(-left_over // 2)
