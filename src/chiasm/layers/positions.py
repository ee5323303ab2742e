"""How a transformer learns where its patches are: learned tables, fixed sine-cosine tables, rotary angles.

Every kind is a part with the same two questions: what is added to the patch tokens before the blocks (`added`), and by
which angles queries and keys are turned within them (`rotation`). A kind answers one of them. The class token and
registers have no position; where a published model gives its class token one, it is the same sum to add it to the
token.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1 (learned) and 3.2 (resampling); He et al., 2021, arXiv
2111.06377 (sine-cosine); Simeoni et al., 2025, arXiv 2508.10104 (rotary, with random shift, jitter and rescaling of the
coordinates in training).
Differs: rotary angles are computed from the formula in float32 at least, whatever the precision of the weights, and are
never stored.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.ops.positions import patch_centres, resample_table, rotary_angles, rotate, sincos_table


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosine and sine of the angle of every number of a head; the first axis is 1 where all pictures share them."""

    cos: Float[Tensor, "_ 1 N D"]
    sin: Float[Tensor, "_ 1 N D"]

    @classmethod
    def of(cls, angles: Float[Tensor, "N D"]) -> Rotation:
        """The rotation by D angles per token, for heads 2 D wide."""
        both = angles.repeat(1, 2)[None, None]
        return cls(both.cos(), both.sin())

    def at(self, positions: Int64[Tensor, "B N"]) -> Rotation:
        """The rotation of some patches only, each picture with its own."""
        return Rotation(self.cos[0, 0, positions].unsqueeze(1), self.sin[0, 0, positions].unsqueeze(1))

    def of_pictures(self, pictures: Int64[Tensor, " _"]) -> Rotation:
        """The rotation of some pictures only."""
        return self if len(self.cos) == 1 else Rotation(self.cos[pictures], self.sin[pictures])

    def after(self, num_prefix_tokens: int) -> Rotation:
        """The same with tokens before the patches that are not turned."""
        padding = (0, 0, num_prefix_tokens, 0)
        cos = nn.functional.pad(self.cos, padding, value=1.0)
        return Rotation(cos, nn.functional.pad(self.sin, padding, value=0.0))

    def turn(self, tokens: Float[Tensor, "B A N D"]) -> Float[Tensor, "B A N D"]:
        """Turn queries or keys; the result has their precision."""
        return rotate(tokens, self.cos.to(tokens.dtype), self.sin.to(tokens.dtype))


class Positions(nn.Module):
    """Base of all kinds: adds nothing, turns nothing."""

    def added(self, grid: tuple[int, int], like: Tensor) -> Float[Tensor, "1 N D"] | None:
        """What is added to the patch tokens `like` of a grid; None for nothing."""
        del grid, like
        return None

    def rotation(self, grid: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Rotation | None:
        """How queries and keys of a grid's patches are turned; None for not at all."""
        del grid, dtype, device
        return None

    def weights_for(self, grid: tuple[int, int]) -> dict[str, Tensor]:
        """Weights of the same positions made for another grid, where any are learned per place."""
        del grid
        return {}


class Resampling(Config):
    """How a table made for one grid serves another; see `ops.positions.resample_table`.

    Attributes:
        mode: how it is interpolated.
        antialias: whether it is smoothed first where it shrinks.
        offset: added to the sides of the wanted grid before the scale is computed, as DINOv2 does (0.1).
    """

    mode: Literal["bicubic", "bilinear"] = "bicubic"
    antialias: bool = False
    offset: float = Field(default=0.0, ge=0, lt=1)


class TablePositions(Positions, ABC):
    """One vector per patch of the grid the trunk was made for, resampled for any other grid."""

    def __init__(self, grid: tuple[int, int], resampling: Resampling) -> None:
        super().__init__()
        self.grid = grid
        self.resampling = resampling

    @abstractmethod
    def whole(self, like: Tensor) -> Float[Tensor, "1 N D"]:
        """The table of the grid that the trunk was made for, in the precision and on the device of `like`."""

    def added(self, grid: tuple[int, int], like: Tensor) -> Float[Tensor, "1 N D"]:
        table = self.whole(like)
        # Compared by sides, not by count: 4 x 16 patches are as many as 8 x 8.
        if grid == self.grid:
            return table
        how = self.resampling
        return resample_table(table, self.grid, grid, how.mode, how.antialias, how.offset)


class LearnedPositions(TablePositions):
    """A learned table, from a normal distribution with deviation 0.02."""

    def __init__(self, grid: tuple[int, int], embed_dim: int, resampling: Resampling) -> None:
        super().__init__(grid, resampling)
        self.table = nn.Parameter(torch.empty(1, grid[0] * grid[1], embed_dim))
        nn.init.trunc_normal_(self.table, std=0.02)

    def whole(self, like: Tensor) -> Float[Tensor, "1 N D"]:
        del like
        return self.table

    def weights_for(self, grid: tuple[int, int]) -> dict[str, Tensor]:
        return {"table": self.added(grid, self.table).detach()}


class SinCosPositions(TablePositions):
    """A fixed sine-cosine table; it is a formula, so it is neither among the weights nor kept beside them."""

    def __init__(
        self, grid: tuple[int, int], embed_dim: int, resampling: Resampling, temperature: float, column_first: bool
    ) -> None:
        super().__init__(grid, resampling)
        self.embed_dim = embed_dim
        self.temperature = temperature
        self.column_first = column_first

    def whole(self, like: Tensor) -> Float[Tensor, "1 N D"]:
        table = (self.grid, self.embed_dim, self.temperature, self.column_first)
        return _sincos_table(*table, like.dtype, like.device)


@lru_cache(maxsize=16)
def _sincos_table(
    grid: tuple[int, int],
    embed_dim: int,
    temperature: float,
    column_first: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> Float[Tensor, "1 N D"]:
    # What is kept must also serve training, whoever asks first.
    with torch.inference_mode(False):
        return sincos_table(grid, embed_dim, temperature, column_first).unsqueeze(0).to(device, dtype)


class RotaryPositions(Positions):
    """Turns queries and keys by angles that follow the patch's centre; needs no resampling.

    Args:
        head_dim: width of a head, a multiple of 4.
        theta: base of the periods.
        shift: in training, coordinates are moved by up to this much on each axis (the picture spans -1 to 1).
        jitter: in training, each axis is scaled by a factor drawn log-uniformly from 1 / jitter to jitter.
        rescale: the same, with one factor for both axes.

    Raises:
        InputError: `head_dim` is no multiple of 4.
    """

    def __init__(self, head_dim: int, theta: float, shift: float, jitter: float, rescale: float) -> None:
        super().__init__()
        if head_dim % 4:
            raise InputError(
                "heads whose width (embed_dim / num_heads) is a multiple of 4 for rotary positions",
                f"they are {head_dim} wide",
                "change num_heads",
            )
        self.head_dim = head_dim
        self.theta = theta
        self.shift = shift
        self.jitter = jitter
        self.rescale = rescale

    def hold_still(self) -> None:
        """Disturb nothing in training either."""
        self.shift, self.jitter, self.rescale = 0.0, 1.0, 1.0

    def rotation(self, grid: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Rotation:
        centres = patch_centres(grid, torch.promote_types(dtype, torch.float32), device)
        if self.training:
            centres = self._disturbed(centres)
        return Rotation.of(rotary_angles(centres, self.head_dim, self.theta))

    def _disturbed(self, centres: Float[Tensor, "N 2"]) -> Float[Tensor, "N 2"]:
        """Centres moved and scaled at random (PyTorch's generator, as dropout)."""
        draws = 2 * torch.rand(5, dtype=centres.dtype, device=centres.device) - 1
        stretch = (draws[2:4] * math.log(self.jitter) + draws[4] * math.log(self.rescale)).exp()
        return (centres + draws[:2] * self.shift) * stretch


class Learned(Config):
    """Settings of `LearnedPositions`.

    Attributes:
        resampling: for pictures of another size.
    """

    kind: Literal["learned"] = "learned"
    resampling: Resampling = Resampling()

    def build(self, grid: tuple[int, int], embed_dim: int, num_heads: int) -> LearnedPositions:
        del num_heads
        return LearnedPositions(grid, embed_dim, self.resampling)


class SinCos(Config):
    """Settings of `SinCosPositions`.

    Attributes:
        resampling: for pictures of another size.
        temperature: base of the wavelengths.
        column_first: whether the first half of the width tells the column (MAE) or the row.
    """

    kind: Literal["sincos"] = "sincos"
    resampling: Resampling = Resampling()
    temperature: float = Field(default=10_000.0, gt=1)
    column_first: bool = True

    def build(self, grid: tuple[int, int], embed_dim: int, num_heads: int) -> SinCosPositions:
        del num_heads
        return SinCosPositions(grid, embed_dim, self.resampling, self.temperature, self.column_first)


class Rotary(Config):
    """Settings of `RotaryPositions`; shift 0 and factors 1 disturb nothing.

    Attributes:
        theta: base of the periods.
        shift: in training, the most that coordinates (-1 to 1) are moved by on each axis.
        jitter: in training, the largest factor by which each axis is stretched.
        rescale: in training, the largest factor by which both axes are stretched together.
    """

    kind: Literal["rotary"] = "rotary"
    theta: float = Field(default=100.0, gt=1)
    shift: float = Field(default=0.0, ge=0)
    jitter: float = Field(default=1.0, ge=1)
    rescale: float = Field(default=1.0, ge=1)

    def build(self, grid: tuple[int, int], embed_dim: int, num_heads: int) -> RotaryPositions:
        del grid
        return RotaryPositions(embed_dim // num_heads, self.theta, self.shift, self.jitter, self.rescale)


AnyPositions = Annotated[Learned | SinCos | Rotary, Field(discriminator="kind"), usually("learned")]
