"""The sampler of masks: exact counts, spread ratios, and rectangles as the published loop draws them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from chiasm.core.seeds import stream
from chiasm.core.views import BlockMask, Masking, RandomMask
from chiasm.data.augment import masks


def drawn(how: RandomMask | BlockMask, grid: int, num_pictures: int, seed: int = 0) -> np.ndarray:
    hidden = masks.sample(Masking(how=how, grid=grid), num_pictures, stream(seed, "mask"))
    assert hidden.shape == (num_pictures, grid * grid)
    assert hidden.dtype == bool
    return hidden.reshape(num_pictures, grid, grid)


def p_value(result: Any) -> float:
    return float(result.pvalue)


def slow_blocks(how: BlockMask, grid: int, num_hidden: int, generator: np.random.Generator) -> np.ndarray:
    """The published loop for one picture: ten tries for each rectangle, patch by patch."""
    hidden = np.zeros((grid, grid), dtype=bool)
    missing = num_hidden
    while missing > 0:
        added = 0
        for _ in range(10):
            area = generator.uniform(how.min_patches, max(missing, how.min_patches))
            aspect = math.exp(generator.uniform(math.log(how.min_aspect), math.log(how.max_aspect)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (0 < height < grid and 0 < width < grid):
                continue
            top, left = generator.integers(grid - height + 1), generator.integers(grid - width + 1)
            inside = [(row, column) for row in range(top, top + height) for column in range(left, left + width)]
            new = [place for place in inside if not hidden[place]]
            if 0 < len(new) <= missing:
                for place in new:
                    hidden[place] = True
                added = len(new)
                break
        if not added:
            break
        missing -= added
    return hidden


def described(hidden: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of each mask that a wrong rule would move: rows and columns that it spans, edges, where it lies."""
    rows, columns = hidden.any(axis=2), hidden.any(axis=1)
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(axis=(1, 2)) + (hidden[:, :, 1:] != hidden[:, :, :-1]).sum(
        axis=(1, 2)
    )
    places = np.arange(hidden.shape[1])
    shares = hidden.sum(axis=(1, 2))
    return {
        "hidden": shares,
        "span of rows": rows.sum(axis=1),
        "span of columns": columns.sum(axis=1),
        "edges": edges,
        "height": (hidden.sum(axis=2) * places).sum(axis=1) / np.maximum(shares, 1),
        "corner": hidden[:, 0, 0].astype(int),
        "middle": hidden[:, hidden.shape[1] // 2, hidden.shape[1] // 2].astype(int),
    }


@pytest.mark.parametrize(
    ("how", "grid"),
    [
        (BlockMask(pictures=1, min_ratio=0.3, max_ratio=0.3), 14),
        (BlockMask(pictures=1, min_ratio=0.5, max_ratio=0.5, min_patches=2, min_aspect=0.5, max_aspect=0.9), 6),
    ],
)
def test_rectangles_are_distributed_as_published(how: BlockMask, grid: int) -> None:
    generator, num = stream(1, "slow"), 400
    slow = np.stack([slow_blocks(how, grid, int(how.max_ratio * grid * grid), generator) for _ in range(num)])
    ours = drawn(how, grid, 3 * num)
    for name, expected in described(slow).items():
        found = described(ours)[name]
        assert p_value(stats.ks_2samp(found, expected)) > 1e-3, name
    # Where a patch lies decides how often it is hidden.
    often, expected = ours.mean(axis=0), slow.mean(axis=0)
    spread = np.sqrt(expected * (1 - expected) / num + often * (1 - often) / (3 * num)) + 1e-3
    assert abs((often - expected) / spread).max() < 5


def test_first_rectangle_has_the_drawn_area_and_aspect() -> None:
    # Just as many patches as one rectangle may have: what is hidden first is what was drawn.
    how = BlockMask(min_patches=30, min_aspect=0.25, max_aspect=1.0)
    tries = masks._draw_rectangles(how, 20, np.full(2000, 60), stream(2, "tries"))
    assert tries.possible.mean() > 0.99
    sizes = (tries.heights * tries.widths)[tries.possible]
    # Sides are rounded, which moves an area by up to a tenth.
    assert stats.kstest(sizes, stats.uniform(30, 30).cdf).statistic < 0.1
    assert abs(sizes.mean() - 45) < 0.3
    aspects = np.log(tries.heights / tries.widths)[tries.possible]
    assert stats.kstest(aspects, stats.uniform(math.log(0.25), -math.log(0.25)).cdf).statistic < 0.1
    for starts, sides in ((tries.tops, tries.heights), (tries.lefts, tries.widths)):
        square = starts[(sides == 6) & tries.possible]
        counts = np.bincount(square, minlength=15)
        assert len(counts) == 15
        assert p_value(stats.chisquare(counts)) > 1e-3


def test_tries_that_do_not_fit_in_the_grid_are_told() -> None:
    tries = masks._draw_rectangles(BlockMask(min_aspect=9, max_aspect=9), 4, np.full(50, 12), stream(0))
    assert not tries.possible.all()
    assert (tries.tops + tries.heights).max() <= 4
    assert (tries.lefts + tries.widths).max() <= 4


def test_hidden_patches_of_a_rectangle_are_counted() -> None:
    generator = stream(3)
    hidden = generator.random((5, 7, 7)) < 0.4
    tries = masks._draw_rectangles(BlockMask(), 7, np.full(5, 20), generator)
    counts = masks._count(hidden, tries)
    for picture, attempt in np.ndindex(counts.shape):
        top, left = tries.tops[picture, attempt], tries.lefts[picture, attempt]
        bottom, right = top + tries.heights[picture, attempt], left + tries.widths[picture, attempt]
        assert counts[picture, attempt] == hidden[picture, top:bottom, left:right].sum()


def test_half_of_the_pictures_with_ratios_spread_evenly_in_random_order() -> None:
    how = BlockMask(pictures=0.5, min_ratio=0.1, max_ratio=0.5)
    shares = np.stack([drawn(how, 16, 64, seed).mean(axis=(1, 2)) for seed in range(40)])
    assert ((shares > 0).sum(axis=1) == 32).all()
    assert shares.max() <= 0.5
    # One picture in each of 32 even steps from 0.1 to 0.5; the last patches may find no room for a rectangle.
    steps = np.linspace(0.1, 0.5, 33)
    for batch in shares:
        found = np.sort(batch[batch > 0])
        assert (found <= steps[1:]).all()
        assert (found > steps[:-1] - 0.05).all()
    assert abs(np.median(shares[shares > 0]) - 0.3) < 0.02
    # Neither the place in the batch nor being masked tells anything.
    masked = (shares > 0).astype(int)
    assert p_value(stats.chisquare(masked.sum(axis=0))) > 1e-3
    places = np.tile(np.arange(64), (40, 1))[shares > 0]
    assert p_value(stats.spearmanr(places, shares[shares > 0])) > 1e-3


@pytest.mark.parametrize(("pictures", "expected"), [(0.0, 0), (0.25, 4), (1.0, 16)])
def test_share_of_pictures_with_a_mask(pictures: float, expected: int) -> None:
    hidden = drawn(BlockMask(pictures=pictures), 14, 16)
    assert hidden.any(axis=(1, 2)).sum() == expected
    # One at least, or there would be nothing to learn from in small batches.
    assert drawn(BlockMask(pictures=0.1), 14, 4).any(axis=(1, 2)).sum() == 1


@pytest.mark.parametrize("grid", [1, 2, 3, 5])
def test_no_picture_is_hidden_as_a_whole(grid: int) -> None:
    greedy = BlockMask(pictures=1, min_ratio=0.99, max_ratio=0.99, min_patches=1)
    assert not drawn(greedy, grid, 200).all(axis=(1, 2)).any()
    for unit in (1, 2, 4):
        random = drawn(RandomMask(ratio=0.99, unit=unit), grid, 50)
        assert not random.all(axis=(1, 2)).any()


@pytest.mark.parametrize(("ratio", "grid", "hidden"), [(0.75, 14, 147), (0.75, 8, 48), (0.6, 7, 29), (0.01, 4, 1)])
def test_random_masks_hide_exactly_so_many_patches_anywhere(ratio: float, grid: int, hidden: int) -> None:
    found = drawn(RandomMask(ratio=ratio), grid, 600)
    assert (found.sum(axis=(1, 2)) == hidden).all()
    often = found.mean(axis=0)
    assert abs(often - hidden / grid**2).max() < 5 * math.sqrt(0.25 / 600)
    # One patch being hidden makes its neighbour a little less likely to be, as drawing without putting back does.
    if hidden > 1:
        together = (found[:, 0, 0] & found[:, 0, 1]).mean()
        alone = hidden / grid**2
        assert abs(together - alone * (hidden - 1) / (grid**2 - 1)) < 5 * math.sqrt(0.25 / 600)


def test_random_squares_are_hidden_as_one() -> None:
    found = drawn(RandomMask(ratio=0.6, unit=2), 12, 300)
    squares = found.reshape(300, 6, 2, 6, 2).sum(axis=(2, 4))
    assert set(squares.ravel().tolist()) == {0, 4}
    assert ((squares == 4).sum(axis=(1, 2)) == 22).all()
    assert abs((squares == 4).mean(axis=0) - 22 / 36).max() < 5 * math.sqrt(0.25 / 300)


@pytest.mark.parametrize(("grid", "unit", "hidden"), [(7, 2, 28), (5, 2, 16), (6, 4, 16)])
def test_squares_that_do_not_fill_the_grid_hide_the_same_number_in_every_picture(
    grid: int, unit: int, hidden: int
) -> None:
    how = RandomMask(ratio=0.6, unit=unit)
    assert masks.num_hidden(how, grid) == hidden
    found = drawn(how, grid, 300)
    assert (found.sum(axis=(1, 2)) == hidden).all()
    # All but one of the squares, the last, are hidden or shown as a whole.
    side = -(-grid // unit)
    cut = np.zeros(300, int)
    for row, column in np.ndindex(side, side):
        square = found[:, unit * row : unit * (row + 1), unit * column : unit * (column + 1)]
        cut += square.any(axis=(1, 2)) & ~square.all(axis=(1, 2))
    assert cut.max() <= 1
    assert len(np.unique(found.reshape(300, -1), axis=0)) >= 4


def test_masks_follow_from_the_generator_alone() -> None:
    for how in (BlockMask(), RandomMask()):
        np.testing.assert_array_equal(drawn(how, 8, 20, seed=4), drawn(how, 8, 20, seed=4))
        assert (drawn(how, 8, 20, seed=4) != drawn(how, 8, 20, seed=5)).any()
