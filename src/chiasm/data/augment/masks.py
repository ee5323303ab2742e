"""The one sampler of masks: which patches of each picture are hidden, drawn before any picture is open.

Paper: He et al., 2021, arXiv 2111.06377, section 3 (random); Xie et al., 2021, arXiv 2111.09886, section 3.2 (random
squares of several patches); Bao et al., 2021, arXiv 2106.08254, algorithm 1 (rectangles); Zhou et al., 2021, arXiv
2111.07832, and Oquab et al., 2023, arXiv 2304.07193 (rectangles in a part of the pictures, with ratios spread evenly).
Differs: where squares do not fill the grid, those at its right and lower edge are cut off, and so is the last square of
    each picture, so that all pictures hide the same number of patches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

from chiasm.core.views import BlockMask, Masking, RandomMask

NUM_TRIES = 10
"""For one rectangle, after which a picture keeps what is hidden already."""


def sample(masking: Masking, num_pictures: int, generator: np.random.Generator) -> Bool[np.ndarray, "B N"]:
    """True where a patch is hidden, row by row of the grid, for each of `num_pictures` pictures.

    No picture is hidden as a whole.
    """
    if isinstance(masking.how, RandomMask):
        return _random(masking.how, masking.grid, num_pictures, generator)
    return _blocks(masking.how, masking.grid, num_pictures, generator)


def num_hidden(how: RandomMask, grid: int) -> int:
    """Patches that a random mask hides in every picture: whole squares' worth, at least one, but never all."""
    square = how.unit**2
    return min(max(round(grid * grid * how.ratio / square), 1) * square, grid * grid - 1)


def _random(how: RandomMask, grid: int, num_pictures: int, generator: np.random.Generator) -> Bool[np.ndarray, "B N"]:
    side = -(-grid // how.unit)
    squares = generator.random((num_pictures, side, side))
    places = squares.repeat(how.unit, axis=1).repeat(how.unit, axis=2)[:, :grid, :grid].reshape(num_pictures, -1)
    # Patches in the order of their squares, of which as many are hidden as every picture hides.
    first = places.argsort(axis=1, kind="stable")[:, : num_hidden(how, grid)]
    hidden = np.zeros(places.shape, dtype=bool)
    np.put_along_axis(hidden, first, values=True, axis=1)
    return hidden


def _blocks(how: BlockMask, grid: int, num_pictures: int, generator: np.random.Generator) -> Bool[np.ndarray, "B N"]:
    num_masked = max(int(num_pictures * how.pictures), int(how.pictures > 0))
    edges = np.linspace(how.min_ratio, how.max_ratio, num_masked + 1)
    missing = (generator.uniform(edges[:-1], edges[1:]) * grid * grid).astype(np.int64)
    hidden = np.zeros((num_pictures, grid, grid), dtype=bool)
    # In random order, so that neither the place in the batch nor the share of a picture tells the other.
    hidden[generator.permutation(num_pictures)[:num_masked]] = _hide_rectangles(how, grid, missing, generator)
    return hidden.reshape(num_pictures, grid * grid)


def _hide_rectangles(
    how: BlockMask, grid: int, num_hidden: Int[np.ndarray, " B"], generator: np.random.Generator
) -> Bool[np.ndarray, "B h w"]:
    """Add rectangles to each picture until so many patches are hidden or no further one fits.

    All pictures go on together, one rectangle in each round: all tries for it are drawn and judged at once, of which
    the first one that fits is taken. So rounds are as many as the rectangles of one picture, not of all.
    """
    hidden = np.zeros((len(num_hidden), grid, grid), dtype=bool)
    missing = num_hidden.copy()
    open_rows = np.flatnonzero(missing > 0)
    while len(open_rows):
        here, room = hidden[open_rows], missing[open_rows]
        tries = _draw_rectangles(how, grid, room, generator)
        added = tries.heights * tries.widths - _count(here, tries)
        fits = tries.possible & (added > 0) & (added <= room[:, None])
        found = np.flatnonzero(fits.any(axis=1))
        first = fits[found].argmax(axis=1)
        rows = open_rows[found]
        hidden[rows] |= tries.take(found, first).cover(grid)
        missing[rows] -= added[found, first]
        open_rows = rows[missing[rows] > 0]
    return hidden


@dataclass(frozen=True, slots=True)
class _Rectangles:
    """Several rectangles for each of B pictures (or one); impossible ones have no meaning but lie in the grid."""

    tops: Int[np.ndarray, "B ..."]
    lefts: Int[np.ndarray, "B ..."]
    heights: Int[np.ndarray, "B ..."]
    widths: Int[np.ndarray, "B ..."]
    possible: Bool[np.ndarray, "B ..."]

    def take(self, rows: Int[np.ndarray, " B"], which: Int[np.ndarray, " B"]) -> _Rectangles:
        """One rectangle of each of some pictures."""
        at = rows, which
        return _Rectangles(self.tops[at], self.lefts[at], self.heights[at], self.widths[at], self.possible[at])

    def cover(self, grid: int) -> Bool[np.ndarray, "B h w"]:
        """The patches of the one rectangle of each picture."""
        places = np.arange(grid)
        tops, lefts = self.tops[:, None], self.lefts[:, None]
        rows = (places >= tops) & (places < tops + self.heights[:, None])
        columns = (places >= lefts) & (places < lefts + self.widths[:, None])
        return rows[:, :, None] & columns[:, None, :]


def _draw_rectangles(
    how: BlockMask, grid: int, missing: Int[np.ndarray, " B"], generator: np.random.Generator
) -> _Rectangles:
    """All tries for one rectangle of each picture, of an area that is still missing."""
    uniform = generator.random((4, len(missing), NUM_TRIES), dtype=np.float32)
    spare = np.maximum(missing - how.min_patches, 0).astype(np.float32)
    sides = np.sqrt(how.min_patches + spare[:, None] * uniform[0])
    # Roots of the aspects, half of whose logarithm is uniform.
    low, high = math.log(how.min_aspect) / 2, math.log(how.max_aspect) / 2
    roots = np.exp(low + (high - low) * uniform[1])
    tall, wide = np.rint(sides * roots), np.rint(sides / roots)
    possible = (tall > 0) & (tall < grid) & (wide > 0) & (wide < grid)
    # What does not fit becomes one patch, so that all lie in the grid.
    tall[~possible] = wide[~possible] = 1
    return _Rectangles(
        _starts(grid - tall, uniform[2]), _starts(grid - wide, uniform[3]), _whole(tall), _whole(wide), possible
    )


def _starts(room: Float32[np.ndarray, "B S"], uniform: Float32[np.ndarray, "B S"]) -> Int[np.ndarray, "B S"]:
    """Whole numbers from 0 to `room`, all as likely; single precision may round the largest share up to 1."""
    return _whole(np.minimum(uniform * (room + 1), room))


def _whole(values: Float32[np.ndarray, "B S"]) -> Int[np.ndarray, "B S"]:
    return values.astype(np.int32)


def _count(hidden: Bool[np.ndarray, "B h w"], rectangles: _Rectangles) -> Int[np.ndarray, "B S"]:
    """How many patches of each rectangle are hidden, from four corners of the table of sums."""
    num_pictures, grid, _ = hidden.shape
    side = grid + 1
    sums = np.zeros((num_pictures, side, side), np.int32)
    hidden.cumsum(axis=1, dtype=np.int32).cumsum(axis=2, out=sums[:, 1:, 1:])
    # Looked up by one number each, which is faster than by three.
    upper = side * (side * np.arange(num_pictures)[:, None] + rectangles.tops)
    lower = upper + side * rectangles.heights
    lefts, rights = rectangles.lefts, rectangles.lefts + rectangles.widths
    table = sums.ravel()
    return table[lower + rights] - table[upper + rights] - table[lower + lefts] + table[upper + lefts]
