"""Windows, their masks and relative positions, against loops over tokens."""

from __future__ import annotations

import pytest
import torch

from chiasm.layers.window_attention import BiasNetwork, BiasTable, ByCosine, ByProduct, WindowAttention
from chiasm.layers.windows import APART, Fitted, Fixed, Window, relative_index

WINDOWS = [Window(3, 0), Window(3, 1), Window(4, 2), Window(1, 0), Window(16, 0)]
GRIDS = [(6, 9), (5, 7), (4, 4)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("grid", GRIDS)
def test_what_is_cut_can_be_pasted(window, grid):
    tokens = torch.randn(2, grid[0] * grid[1], 3)
    cut = window.cut(tokens, grid)
    assert cut.shape[2] == window.side**2
    torch.testing.assert_close(window.paste(cut, grid), tokens, rtol=0, atol=0)


def region(place: int, length: int, window: Window) -> int:
    """Along one axis, after the shift: the inside, the last window's own part, what came in from the other side."""
    return 0 if place < length - window.side else 1 if place < length - window.shift else 2


@pytest.mark.parametrize("window", [Window(3, 1), Window(4, 2)])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_mask_parts_what_only_the_shift_brought_together(window, grid):
    side = window.side
    rows, columns = (-(-length // side) * side for length in grid)
    mask = window.mask(grid, torch.zeros(1, dtype=torch.float64))
    assert mask is not None
    assert mask.shape == (rows // side * (columns // side), side**2, side**2)
    for number, found in enumerate(mask):
        top, left = (number // (columns // side)) * side, (number % (columns // side)) * side
        places = [(top + place // side, left + place % side) for place in range(side**2)]
        regions = [(region(row, rows, window), region(column, columns, window)) for row, column in places]
        expected = [[0.0 if one == other else APART for other in regions] for one in regions]
        assert found.tolist() == expected
    assert Window(side, 0).mask(grid, torch.zeros(1)) is None


@pytest.mark.parametrize(("side", "table_side"), [(3, 3), (2, 4), (1, 5)])
def test_relative_positions_are_offsets(side, table_side):
    index = relative_index(side, table_side, torch.device("cpu")).view(side**2, side**2)
    for one in range(side**2):
        for other in range(side**2):
            down, right = one // side - other // side, one % side - other % side
            assert index[one, other] == (down + table_side - 1) * (2 * table_side - 1) + right + table_side - 1


def test_smaller_windows_use_the_middle_of_a_table():
    bias = BiasTable(4, 2)
    whole = bias(4).unflatten(2, (4, 4)).unflatten(1, (4, 4))
    torch.testing.assert_close(bias(2).unflatten(2, (2, 2)).unflatten(1, (2, 2)), whole[:, :2, :2, :2, :2])


def test_a_network_sees_offsets_on_a_log_scale():
    torch.manual_seed(0)
    bias = BiasNetwork(2, trained_side=3).double()
    found = bias(4).unflatten(2, (4, 4)).unflatten(1, (4, 4))
    for down, right in [(3, -1), (-2, 0), (0, 3)]:
        scaled = torch.tensor([8 * down / 2, 8 * right / 2], dtype=torch.float64)
        offset = scaled.sign() * (scaled.abs() + 1).log() / torch.tensor(8.0, dtype=torch.float64).log()
        expected = 16 * torch.sigmoid(bias.down(torch.relu(bias.up(offset))))
        row, column = max(down, 0), max(right, 0)
        torch.testing.assert_close(found[:, row, column, row - down, column - right], expected)


def test_fitted_windows_follow_the_grid_and_fixed_ones_do_not():
    fitted, fixed = (kind.build(4, (8, 8), is_shifted=True) for kind in (Fitted(), Fixed()))
    assert [fitted.at(grid) for grid in [(8, 8), (5, 9), (4, 9), (9, 3)]] == [
        Window(4, 2),
        Window(4, 2),
        Window(4, 0),
        Window(3, 0),
    ]
    assert {fixed.at(grid) for grid in [(8, 8), (4, 9), (2, 2)]} == {Window(4, 2)}
    assert Fixed().build(4, (4, 4), is_shifted=True).at((8, 8)) == Window(4, 0)
    assert Fixed().build(4, (3, 3), is_shifted=True).at((8, 8)) == Window(3, 0)
    assert Fitted().build(4, (8, 8), is_shifted=False).at((8, 8)) == Window(4, 0)


@pytest.mark.parametrize("kind", [ByProduct(), ByCosine()])
@pytest.mark.parametrize("grid", [(8, 8), (5, 9)])
def test_training_computes_the_same_as_inference(kind, grid):
    torch.manual_seed(0)
    attention: WindowAttention = kind.build(8, 2, Fitted().build(4, (8, 8), is_shifted=True), 0)
    tokens = torch.randn(3, grid[0] * grid[1], 8)
    with torch.no_grad():
        expected = attention(tokens, grid)
    torch.testing.assert_close(attention(tokens.requires_grad_(), grid), expected, rtol=0, atol=1e-5)
