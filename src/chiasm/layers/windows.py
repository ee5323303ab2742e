"""Windows over a grid of tokens: where they lie, how tokens go in and out, and which tokens must not see each other.

Paper: Liu et al., 2021, arXiv 2103.14030, section 3.2 (windows, the cyclic shift and its mask).
Differs: the paper divides grids that are multiples of the window. Others are padded with zeros at the right and the
bottom and shifted afterwards, as the authors' detection code and transformers do; tokens see the zeros. timm shifts
first and pads then, which gives other numbers where both happen (no published model does at the size it was made for).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from chiasm.core.choice import usually
from chiasm.core.config import Config

APART = -100.0
"""Added to the scores of tokens that only the shift has brought together; finite, as in the authors' code."""


@dataclass(frozen=True, slots=True)
class Window:
    """A division of a grid into squares.

    Attributes:
        side: of a square, in tokens.
        shift: rows and columns by which the squares are moved down and to the right; 0 for not at all.
    """

    side: int
    shift: int

    def cut(self, tokens: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B _ _ D"]:
        """Tokens of a grid, window by window: pictures, windows, tokens of a window."""
        rows, columns = self._padded(grid)
        plane = tokens.unflatten(1, grid)
        if (rows, columns) != grid:
            plane = functional.pad(plane, (0, 0, 0, columns - grid[1], 0, rows - grid[0]))
        if self.shift:
            plane = plane.roll((-self.shift, -self.shift), dims=(1, 2))
        side = self.side
        squares = plane.unflatten(2, (columns // side, side)).unflatten(1, (rows // side, side))
        return squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def paste(self, windows: Float[Tensor, "B _ _ D"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
        """Undoes `cut`."""
        rows, columns = self._padded(grid)
        side = self.side
        squares = windows.unflatten(2, (side, side)).unflatten(1, (rows // side, columns // side))
        plane = squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        if self.shift:
            plane = plane.roll((self.shift, self.shift), dims=(1, 2))
        return plane[:, : grid[0], : grid[1]].flatten(1, 2)

    def mask(self, grid: tuple[int, int], like: Tensor) -> Float[Tensor, "_ N N"] | None:
        """What is added to the scores within each window, in the precision of `like`; None for nothing."""
        if not self.shift:
            return None
        return _shift_mask(self._padded(grid), self.side, self.shift, like.dtype, like.device)

    def _padded(self, grid: tuple[int, int]) -> tuple[int, int]:
        rows, columns = (-(-length // self.side) * self.side for length in grid)
        return rows, columns


@lru_cache(maxsize=16)
def _shift_mask(
    grid: tuple[int, int], side: int, shift: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "_ N N"]:
    # What is kept must also serve training, whoever asks first.
    with torch.inference_mode(False):
        rows, columns = (_regions(length, side, shift, dtype, device) for length in grid)
        region = (3 * rows[:, None] + columns[None, :]).reshape(1, -1, 1)
        inside = Window(side, 0).cut(region, grid)[0, :, :, 0]
        differs = inside[:, :, None] != inside[:, None, :]
        return torch.zeros(differs.shape, dtype=dtype, device=device).masked_fill(differs, APART)


def _regions(length: int, side: int, shift: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, " N"]:
    """Along one axis: 0 before the last window, 1 in it, 2 where what left on the other side has come in."""
    place = torch.arange(length, device=device)
    return ((place >= length - side).to(dtype)) + ((place >= length - shift).to(dtype))


@lru_cache(maxsize=64)
def relative_index(side: int, table_side: int, device: torch.device) -> Int64[Tensor, " N"]:
    """For every pair of tokens of a window, which row of a table of relative positions is theirs.

    Args:
        side: of the window; `side`^4 pairs, by the first token and then by the second.
        table_side: of the windows that the table was made for, at least `side`; it has (2 * table_side - 1)^2 rows, one
            for each offset, row by row from the most negative.
        device: where the answer lies.
    """
    with torch.inference_mode(False):
        place = torch.arange(side, device=device)
        offset = place[:, None] - place[None, :] + table_side - 1
        index = (2 * table_side - 1) * offset[:, None, :, None] + offset[None, :, None, :]
        return index.flatten()


class Windows(ABC):
    """How a grid of any size is divided.

    Args:
        window: of grids that are large enough for it.

    Attributes:
        side: of the largest window, in tokens.
    """

    def __init__(self, window: Window) -> None:
        self.side = window.side
        self._window = window

    @abstractmethod
    def at(self, grid: tuple[int, int]) -> Window:
        """The division of a grid of some rows and columns."""


class FixedWindows(Windows):
    """The same windows on every grid."""

    def at(self, grid: tuple[int, int]) -> Window:
        del grid
        return self._window


class FittedWindows(Windows):
    """Windows that follow the grid: one that is no larger than a window is not shifted, and its shorter side is one."""

    def at(self, grid: tuple[int, int]) -> Window:
        return Window(min(grid), 0) if min(grid) <= self.side else self._window


class Fixed(Config):
    """Windows that are settled by the size of pictures that the trunk is made for (Swin v2; timm).

    There, a window is never larger than the grid, and none is shifted where one covers it.
    """

    kind: Literal["fixed"] = "fixed"

    def build(self, side: int, made_for: tuple[int, int], is_shifted: bool) -> Windows:
        """Windows of blocks that shift them or do not.

        Args:
            side: of a window, in tokens.
            made_for: the grid at the size that the trunk is made for.
            is_shifted: whether windows are moved by half their side.
        """
        covers = min(made_for) <= side
        return FixedWindows(Window(min(side, *made_for), side // 2 if is_shifted and not covers else 0))


class Fitted(Config):
    """Windows that are settled by each picture (Swin v1)."""

    kind: Literal["fitted"] = "fitted"

    def build(self, side: int, made_for: tuple[int, int], is_shifted: bool) -> Windows:
        """Windows of blocks that shift them or do not; see `Fixed.build`."""
        del made_for
        return FittedWindows(Window(side, side // 2 if is_shifted else 0))


AnyWindows = Annotated[Fixed | Fitted, Field(discriminator="kind"), usually("fitted")]
