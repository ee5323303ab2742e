"""The one sampler of masks: which patches of each picture are hidden, drawn before any picture is open.

Paper: He et al., 2021, arXiv 2111.06377, section 3 (random); Xie et al., 2021, arXiv 2111.09886, section 3.2 (random
squares of several patches); Bao et al., 2021, arXiv 2106.08254, algorithm 1 (rectangles); Zhou et al., 2021, arXiv
2111.07832, and Oquab et al., 2023, arXiv 2304.07193 (rectangles in a part of the pictures, with ratios spread evenly).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool

from chiasm.core.views import BlockMask, Masking, RandomMask

NUM_TRIES = 10
"""For one rectangle, after which a picture keeps what is hidden already."""


def sample(masking: Masking, num_pictures: int, generator: np.random.Generator) -> Bool[np.ndarray, "B N"]:
    """True where a patch is hidden, row by row of the grid, for each of `num_pictures` pictures."""
    if isinstance(masking.how, RandomMask):
        return _random(masking.how, masking.grid, num_pictures, generator)
    return _blocks(masking.how, masking.grid, num_pictures, generator)


def _random(how: RandomMask, grid: int, num_pictures: int, generator: np.random.Generator) -> Bool[np.ndarray, "B N"]:
    side = -(-grid // how.unit)
    num_hidden = round(side * side * how.ratio)
    ranks = generator.random((num_pictures, side * side)).argsort(axis=1).argsort(axis=1)
    hidden = (ranks < num_hidden).reshape(num_pictures, side, side)
    whole = hidden.repeat(how.unit, axis=1).repeat(how.unit, axis=2)[:, :grid, :grid]
    return whole.reshape(num_pictures, grid * grid)


def _blocks(how: BlockMask, grid: int, num_pictures: int, generator: np.random.Generator) -> Bool[np.ndarray, "B N"]:
    num_masked = int(num_pictures * how.pictures)
    edges = np.linspace(how.min_ratio, how.max_ratio, num_masked + 1)
    ratios = np.zeros(num_pictures)
    ratios[:num_masked] = generator.uniform(edges[:-1], edges[1:])
    hidden = [_rectangles(how, grid, int(ratio * grid * grid), generator) for ratio in generator.permutation(ratios)]
    return np.stack(hidden).reshape(num_pictures, grid * grid)


def _rectangles(how: BlockMask, grid: int, num_hidden: int, generator: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """Add rectangles until so many patches are hidden or no further one fits."""
    hidden = np.zeros((grid, grid), dtype=bool)
    low, high = math.log(how.min_aspect), math.log(how.max_aspect)
    missing = num_hidden
    tries = 0
    while missing > 0 and tries < NUM_TRIES:
        tries += 1
        area, aspect = (
            generator.uniform(how.min_patches, max(missing, how.min_patches)),
            math.exp(generator.uniform(low, high)),
        )
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < height < grid and 0 < width < grid):
            continue
        top, left = generator.integers(grid - height + 1), generator.integers(grid - width + 1)
        block = hidden[top : top + height, left : left + width]
        added = block.size - int(block.sum())
        if 0 < added <= missing:
            block[:] = True
            missing -= added
            tries = 0
    return hidden
