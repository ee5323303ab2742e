"""How a picture of any shape becomes the square that a trunk takes: parts of a model's settings.

`CentreCrop` and `Squash` are those of our own models; foreign checkpoints have the fits of their processors, see
`data.reference_fits`.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.data.reference_fits import BothSides, LongerSide, OwnSize, ShorterSide


@runtime_checkable
class Fit(Protocol):
    """How a picture of any shape becomes a square."""

    def side_px(self, trunk_px: int) -> int:
        """Side in pixels of the square for a trunk made for pictures of `trunk_px`; some models are fed with others."""
        ...

    def min_side_px(self, size_px: int) -> int | None:
        """The shorter side in pixels below which a smaller version of the picture would lose detail; None for full."""
        ...

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        """Which part of a picture becomes the square: left, top, right and bottom edge in the picture's pixels.

        Edges may lie outside of the picture where the square is filled up.
        """
        ...

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The square of `size_px` pixels a side."""
        ...


class CentreCrop(Config):
    """The square in the middle, its side a share of the picture's shorter side.

    The square is cut out first and then resized, by pixel area when it shrinks and bicubically when it grows. Up to
    half a pixel that equals resizing the shorter side and cropping the middle, but it cannot run out of memory on a
    picture of 1 x 60,000 pixels.

    Attributes:
        share: side of the square over the shorter side, above 0 and at most 1; "resize to 256, crop 224" is 0.875.
    """

    kind: Literal["centre_crop"] = "centre_crop"
    share: float = Field(default=1.0, gt=0, le=1)

    def side_px(self, trunk_px: int) -> int:
        return trunk_px

    def min_side_px(self, size_px: int) -> int | None:
        return ceil(size_px / self.share)

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        return self._square(height_px, width_px)

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
        left, top, right, bottom = self._square(*picture.shape[:2])
        return resized(picture[top:bottom, left:right], size_px)

    def _square(self, height_px: int, width_px: int) -> tuple[int, int, int, int]:
        side = max(round(min(height_px, width_px) * self.share), 1)
        top, left = (height_px - side) // 2, (width_px - side) // 2
        return left, top, left + side, top + side


class Squash(Config):
    """The whole picture, its proportions given up."""

    kind: Literal["squash"] = "squash"

    def side_px(self, trunk_px: int) -> int:
        return trunk_px

    def min_side_px(self, size_px: int) -> int | None:
        return size_px

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        return 0, 0, width_px, height_px

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
        return resized(picture, size_px)


AnyFit = Annotated[
    CentreCrop | Squash | ShorterSide | BothSides | LongerSide | OwnSize,
    Field(discriminator="kind"),
    usually("centre_crop"),
]


def resized(picture: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """A picture as a square: a side that shrinks is averaged over pixel areas, one that grows is bicubic."""
    height, width, _ = picture.shape
    shrunk = min(width, size_px), min(height, size_px)
    if shrunk != (width, height):
        picture = cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != (size_px, size_px):
        picture = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return picture
