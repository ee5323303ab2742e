"""Where a patch is, as numbers: sine-cosine tables, rotary angles, and tables resampled to another grid.

Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.5 (sine-cosine); He et al., 2021, arXiv 2111.06377 (its
two-dimensional form in masked autoencoders); Su et al., 2021, arXiv 2104.09864, section 3 (rotary); Simeoni et al.,
2025, arXiv 2508.10104 (rotary over patch centres in [-1, 1]).
Differs: the sine-cosine table puts the column before the row, as the published code of masked autoencoders does and as
its weights need, although that code's names say otherwise; `column_first=False` gives the other order (MoCo v3).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.core.errors import InputError


def sincos_table(
    grid: tuple[int, int], embed_dim: int, temperature: float = 10_000.0, column_first: bool = True
) -> Float[Tensor, "N D"]:
    """Fixed two-dimensional sine-cosine positions: (sin, cos) of one axis, then (sin, cos) of the other.

    Raises:
        InputError: `embed_dim` is no multiple of 4.
    """
    if embed_dim % 4:
        raise InputError(
            "an embed_dim that is a multiple of 4 for sine-cosine positions", f"{embed_dim} came", "choose another"
        )
    quarter = embed_dim // 4
    frequencies = temperature ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    row, column = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    axes = (column, row) if column_first else (row, column)
    angles = [axis.reshape(-1, 1) * frequencies for axis in axes]
    waves = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    return torch.cat(waves, dim=1).to(torch.get_default_dtype())


def resample_table(
    table: Float[Tensor, "1 N D"],
    source: tuple[int, int],
    target: tuple[int, int],
    mode: Literal["bicubic", "bilinear"] = "bicubic",
    antialias: bool = False,
    offset: float = 0.0,
) -> Float[Tensor, "1 _ D"]:
    """A position table resampled from one patch grid to another; half precision is resampled in float32.

    Args:
        table: one row per patch of the `source` grid.
        source: rows and columns that the table was made for.
        target: rows and columns that are wanted.
        mode: interpolation kernel.
        antialias: widen the kernel when the grid shrinks.
        offset: added to the target's sides when the scale is computed, as in the code of DINO and DINOv2 (0.1); it
            shifts all sampling points a little, and weights trained that way need it. 0: the exact scale.
    """
    image = table.transpose(1, 2).unflatten(2, source)
    precise = image.to(torch.promote_types(image.dtype, torch.float32))
    if offset:
        scale = [(side + offset) / base for side, base in zip(target, source, strict=True)]
        resampled = functional.interpolate(precise, scale_factor=scale, mode=mode, antialias=antialias)
    else:
        resampled = functional.interpolate(precise, size=target, mode=mode, antialias=antialias)
    return resampled.to(table.dtype).flatten(2).transpose(1, 2)


def patch_centres(grid: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "N 2"]:
    """Row and column of each patch's centre; each axis runs from -1 to 1 over the picture."""
    axes = [2 * (torch.arange(side, dtype=dtype, device=device) + 0.5) / side - 1 for side in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 1)


def rotary_angles(centres: Float[Tensor, "N 2"], head_dim: int, theta: float) -> Float[Tensor, "N D"]:
    """Angles by which rotary positions turn each pair of numbers of a head; D = head_dim / 2.

    The first half of the pairs turns with the row, the second with the column.

    Args:
        centres: row and column of each patch, in [-1, 1].
        head_dim: width of a head, a multiple of 4.
        theta: base of the periods; the slowest pair turns once over theta^(1 - 4 / head_dim) units.
    """
    quarter = head_dim // 4
    exponents = torch.arange(quarter, dtype=centres.dtype, device=centres.device) / quarter
    frequencies = 2 * math.pi * theta**-exponents
    return (centres.unsqueeze(-1) * frequencies).flatten(1)


def rotate(
    tokens: Float[Tensor, "B A N D"], cos: Float[Tensor, "_ 1 N D"], sin: Float[Tensor, "_ 1 N D"]
) -> Float[Tensor, "B A N D"]:
    """Turn number i of each head against number i + D/2.

    Args:
        tokens: queries or keys, by head.
        cos, sin: of the angles, the D/2 of them given twice.
    """
    first, second = tokens.chunk(2, dim=-1)
    return tokens * cos + torch.cat([-second, first], dim=-1) * sin


def text_angles(places: Float[Tensor, " N"], num_turned: int, theta: float) -> Float[Tensor, "N D"]:
    """Angles by which rotary positions turn each pair of numbers of a head; D = num_turned / 2.

    Args:
        places: of the tokens, counted from 0.
        num_turned: numbers of a head that are turned.
        theta: base of the periods.
    """
    exponents = torch.arange(0, num_turned, 2, dtype=places.dtype, device=places.device) / num_turned
    return places.unsqueeze(1) * theta**-exponents


def distance_slopes(num_heads: int, max_bias: float, like: Tensor) -> Float[Tensor, " A"]:
    """How much each head takes off for every token of distance (ALiBi): powers of one half, up to `max_bias`.

    Args:
        num_heads: of the attention; where it is no power of two, the slopes are those of the next power, every second
            one first.
        max_bias: exponent of the smallest.
        like: a tensor of the wanted precision and device.
    """
    power = 2 ** math.ceil(math.log2(num_heads))
    exponents = torch.arange(1, power + 1, dtype=like.dtype, device=like.device) * (max_bias / power)
    slopes = 2.0**-exponents
    return slopes if power == num_heads else torch.cat([slopes[1::2], slopes[::2]])[:num_heads]
