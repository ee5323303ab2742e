"""Cutting pictures into patches, and taking and putting tokens."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.ops.patches import grid_of, patchify, put_tokens, take_tokens, unpatchify, visible_positions


def test_patches_go_row_by_row_and_keep_channel_row_column():
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    patches = patchify(images, 2)
    assert patches.shape == (2, 6, 12)
    for row in range(2):
        for column in range(3):
            cut = images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            torch.testing.assert_close(patches[:, 3 * row + column], cut.flatten(1))


def test_unpatchify_undoes_patchify():
    images = torch.randn(2, 3, 8, 12)
    torch.testing.assert_close(unpatchify(patchify(images, 4), (2, 3), 4), images)


def test_unpatchify_wants_the_whole_grid():
    with pytest.raises(ValueError, match="needs 6 patches, but 5 came"):
        unpatchify(torch.randn(1, 5, 12), (2, 3), 2)


@pytest.mark.parametrize("size", [(30, 32), (32, 30), (0, 32), (2, 4)])
def test_a_size_that_is_no_multiple_is_said(size):
    height_px, width_px = size
    with pytest.raises(InputError, match="multiples of the patch size, 4 px"):
        grid_of(height_px, width_px, 4)


def test_taken_tokens_can_be_put_back():
    mask = torch.tensor([[True, False, False, True], [False, True, True, False]])
    visible = visible_positions(mask)
    assert visible.tolist() == [[1, 2], [0, 3]]
    tokens = torch.randn(2, 4, 5)
    taken = take_tokens(tokens, visible)
    torch.testing.assert_close(taken[1], tokens[1, [0, 3]])
    put = put_tokens(torch.zeros(2, 4, 5), visible, taken)
    torch.testing.assert_close(put, tokens * ~mask.unsqueeze(-1))


@pytest.mark.parametrize("mask", [[[True, False], [False, False]], [[True, True], [True, True]]])
def test_rows_must_leave_equally_many_and_some(mask):
    with pytest.raises(ValueError, match="same number of patches visible"):
        visible_positions(torch.tensor(mask))
