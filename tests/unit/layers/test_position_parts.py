"""Positions as parts: what is added, what is turned, and at another resolution."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.layers.positions import Learned, Resampling, Rotary, RotaryPositions, Rotation, SinCos
from chiasm.ops.positions import sincos_table

CPU = torch.device("cpu")
LIKE = torch.zeros(1)


def test_a_learned_table_is_itself_on_its_own_grid_and_resampled_elsewhere():
    part = Learned().build((4, 4), 8, 2)
    assert part.added((4, 4), LIKE) is part.table
    assert part.added((2, 8), LIKE).shape == (1, 16, 8)
    assert not torch.equal(part.added((2, 8), LIKE), part.table), "as many patches, but not the same places"
    part.added((3, 5), LIKE).sum().backward()
    assert part.table.grad is not None
    assert part.rotation((4, 4), torch.float32, CPU) is None


def test_resampling_settings_reach_the_table():
    torch.manual_seed(0)
    how = [Resampling(), Resampling(antialias=True), Resampling(offset=0.1), Resampling(mode="bilinear")]
    parts = [Learned(resampling=resampling).build((8, 8), 4, 1) for resampling in how]
    for part in parts[1:]:
        part.load_state_dict(parts[0].state_dict())
    tables = [part.added((3, 5), LIKE) for part in parts]
    for index, table in enumerate(tables[1:], 1):
        assert (table - tables[0]).abs().max() > 1e-4, how[index]


def test_sincos_is_fixed_and_not_among_the_weights():
    part = SinCos().build((3, 4), 8, 2)
    assert not list(part.parameters())
    assert not part.state_dict()
    torch.testing.assert_close(part.added((3, 4), LIKE)[0], sincos_table((3, 4), 8))


def test_rotary_adds_nothing_and_leaves_the_prefix_as_it_is():
    part = Rotary().build((4, 4), 32, 4)
    assert part.added((4, 4), LIKE) is None
    rotation = part.rotation((4, 4), torch.float32, CPU).after(3)
    tokens = torch.randn(2, 4, 19, 8)
    turned = rotation.turn(tokens)
    torch.testing.assert_close(turned[:, :, :3], tokens[:, :, :3], rtol=0, atol=0)
    assert (turned[:, :, 3:] - tokens[:, :, 3:]).abs().amax(dim=(0, 1, 3)).min() > 1e-3


def test_rotary_angles_stay_exact_in_half_precision():
    rotation = Rotary().build((4, 4), 32, 4).to(torch.bfloat16).rotation((4, 4), torch.bfloat16, CPU)
    assert rotation.cos.dtype == torch.float32
    assert rotation.turn(torch.randn(1, 4, 16, 8).bfloat16()).dtype == torch.bfloat16


def test_rotation_of_some_patches_is_that_of_those_patches():
    rotation = Rotation.of(torch.randn(6, 4))
    there = rotation.at(torch.tensor([[0, 5], [2, 3]]))
    tokens = torch.randn(2, 3, 6, 8)
    whole = rotation.turn(tokens)
    some = there.turn(torch.stack([tokens[0, :, [0, 5]], tokens[1, :, [2, 3]]]))
    torch.testing.assert_close(some[0], whole[0, :, [0, 5]])
    torch.testing.assert_close(some[1], whole[1, :, [2, 3]])


def test_coordinates_are_disturbed_in_training_only():
    part = Rotary(shift=0.2, jitter=1.5, rescale=2.0).build((4, 4), 32, 4)
    torch.manual_seed(0)
    one, two = (part.rotation((4, 4), torch.float32, CPU).cos for _ in range(2))
    assert not torch.equal(one, two)
    part.eval()
    calm = part.rotation((4, 4), torch.float32, CPU).cos
    torch.testing.assert_close(calm, Rotary().build((4, 4), 32, 4).rotation((4, 4), torch.float32, CPU).cos)


def test_disturbance_stays_within_its_bounds():
    part = RotaryPositions(head_dim=8, theta=100.0, shift=0.2, jitter=1.5, rescale=2.0)
    torch.manual_seed(0)
    ends = torch.stack([part._disturbed(torch.tensor([[-1.0, -1.0], [1.0, 1.0]])) for _ in range(500)])
    stretch = (ends[:, 1] - ends[:, 0]) / 2
    assert 2.5 < stretch.max() <= 3.0
    assert 1 / 3.0 <= stretch.min() < 0.4
    shift = (ends[:, 1] + ends[:, 0]) / 2 / stretch
    assert 0.19 < shift.abs().max() <= 0.2 + 1e-5


def test_rotary_needs_heads_of_a_multiple_of_four():
    with pytest.raises(InputError, match="they are 6 wide"):
        Rotary().build((4, 4), 24, 4)


def test_a_table_first_asked_for_while_answering_serves_training_too():
    part = SinCos().build((3, 7), 16, 2)
    with torch.inference_mode():
        part.added((3, 7), LIKE)
    tokens = torch.ones(1, 21, 16, requires_grad=True)
    (tokens * part.added((3, 7), LIKE)).sum().backward()
    assert tokens.grad is not None
