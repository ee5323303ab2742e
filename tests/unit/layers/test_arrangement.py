"""Pictures a row each or all in one row: the same numbers, the same pictures dropped."""

from __future__ import annotations

import pytest
import torch

from chiasm.layers.arrangement import Packed, Separate, packing_is_faster
from chiasm.layers.block import Block, BlockSettings
from chiasm.layers.positions import Rotary, Rotation
from chiasm.layers.residual import DropPath

SIZES = ((6, 5), (9, 3))
PACKED = Packed(SIZES, (Separate(), Separate()))


def groups(dtype: torch.dtype = torch.float64, grad: bool = False) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*size, 8, dtype=dtype).requires_grad_(grad) for size in SIZES]


def block(**settings: object) -> Block:
    torch.manual_seed(1)
    return BlockSettings.parse({**settings, "drop_path_uniform": True}, "block").build_blocks(8, 1, 2)[0].double()


def rotations() -> tuple[Rotation, Rotation]:
    """Shared by all pictures of the first group; of each picture's own places in the second."""
    positions = Rotary().build((1, 1), 8, 2)
    first, second = (positions.rotation((1, length), torch.float64, torch.device("cpu")) for length in (5, 6))
    places = torch.rand(9, 6, generator=torch.Generator().manual_seed(2)).argsort(dim=1)[:, :3]
    return first, second.at(places)


def test_a_row_splits_into_what_it_was_joined_from():
    parts = groups()
    row = PACKED.join(parts)
    assert row.shape == (1, 6 * 5 + 9 * 3, 8)
    for part, found in zip(parts, PACKED.split(row), strict=True):
        torch.testing.assert_close(found, part, rtol=0, atol=0)
        assert found.untyped_storage().data_ptr() == row.untyped_storage().data_ptr()


@pytest.mark.parametrize("turned", [False, True])
def test_a_packed_block_computes_what_one_call_for_each_size_does(turned):
    part, parts = block(layer_scale=0.5), groups(grad=True)
    alone = [Separate(rotation) for rotation in rotations()] if turned else [Separate(), Separate()]
    packed = Packed(SIZES, tuple(alone))
    apart = [part(tokens, each) for tokens, each in zip(parts, alone, strict=True)]
    together = packed.split(part(packed.join(parts), packed))
    found = []
    for answers in (apart, together):
        flat = torch.cat([answer.flatten() for answer in answers])
        loss = flat @ torch.linspace(-1, 1, flat.numel(), dtype=flat.dtype)
        found.append(torch.autograd.grad(loss, [*parts, *part.parameters()]))
    for one, other in zip((*apart, *found[0]), (*together, *found[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_drop_path_in_a_row_takes_whole_pictures_of_each_size(rate):
    sizes = ((400, 2), (1000, 3))
    packed, path = Packed(sizes, (Separate(), Separate())), DropPath(rate)
    torch.manual_seed(0)
    answer = path.add(torch.zeros(1, 3800, 4), lambda tokens, _: tokens + 1, packed)
    for part in packed.split(answer):
        of_each = part[:, :1, :1]
        torch.testing.assert_close(part, of_each.expand_as(part), rtol=0, atol=0)
        torch.testing.assert_close(
            of_each[of_each != 0], torch.tensor(1 / (1 - rate)).expand(int((of_each != 0).sum()))
        )
        assert float((of_each == 0).float().mean()) == pytest.approx(rate, abs=0.05)


def test_pictures_that_drop_a_branch_are_not_computed_and_the_others_as_if_alone():
    part, (tokens, _) = block(drop_path=1 / 3), groups()
    rotation = rotations()[1]
    tokens = torch.randn(9, 3, 8, dtype=torch.float64)
    seen: list[int] = []
    part.mlp.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    torch.manual_seed(3)
    answer = part(tokens, Separate(rotation))
    assert seen == [6]
    torch.manual_seed(3)
    # Each time one number that rounds, and then the order.
    looks, thinks = ((torch.rand(()), torch.randperm(9)[:6])[1] for _ in range(2))
    expected = tokens.clone()
    own = Separate(Rotation(rotation.cos[looks], rotation.sin[looks]))
    expected[looks] += 9 / 6 * part.attention(part.attention_norm(tokens[looks]), own)
    expected[thinks] += 9 / 6 * part.mlp(part.mlp_norm(expected[thinks]))
    torch.testing.assert_close(answer, expected)


def test_some_of_a_row_are_the_tokens_of_the_pictures_it_names():
    row = PACKED.join(
        [torch.arange(6.0).view(6, 1, 1).expand(6, 5, 1), 10 + torch.arange(9.0).view(9, 1, 1).expand(9, 3, 1)]
    )
    torch.manual_seed(0)
    some = PACKED.some(row, 2 / 3)
    assert isinstance(some.arrangement, Packed)
    first, second = some.arrangement.split(row.index_select(some.axis, some.places))
    assert (first.shape, second.shape) == ((4, 5, 1), (6, 3, 1))
    for part, before in ((first, 10), (second, 20)):
        assert len(set(part[:, 0, 0].tolist())) == len(part)
        assert (part == part[:, :1]).all()
        assert part.max() < before
    torch.testing.assert_close(some.scale.flatten(), torch.tensor([6 / 4] * 20 + [9 / 6] * 18))


def test_what_is_no_whole_number_of_pictures_is_rounded_at_random():
    torch.manual_seed(0)
    tokens = torch.zeros(7, 1, 1)
    counts = [len(Separate().some(tokens, 0.7).places) for _ in range(2000)]
    assert set(counts) == {4, 5}
    assert sum(counts) / 2000 == pytest.approx(4.9, abs=0.03)
    assert Separate().some(tokens.bfloat16(), 0.7).scale.dtype == torch.float32


def test_dropping_keeps_the_expectation_and_at_least_one_picture():
    torch.manual_seed(0)
    path = DropPath(0.3)
    draws = [path.add(torch.zeros(7, 1, 1), lambda tokens, _: tokens + 1) for _ in range(3000)]
    torch.testing.assert_close(torch.stack(draws).mean(dim=0), torch.ones(7, 1, 1), rtol=0, atol=0.06)
    assert path.add(torch.zeros(1, 1, 1), lambda tokens, _: tokens + 1).item() == 1
    assert float(path.eval().add(torch.zeros(7, 1, 1), lambda tokens, _: tokens + 1).sum()) == 7


def test_a_branch_in_lower_precision_is_added_in_that_of_the_tokens():
    answer = DropPath(0.5).add(torch.zeros(4, 1, 1), lambda tokens, _: (tokens + 1).bfloat16())
    assert answer.dtype == torch.float32
    assert answer.sum() == 4


def test_rows_are_for_accelerators():
    on_cpu, elsewhere = torch.zeros(1), torch.zeros(1, device="meta")
    assert not packing_is_faster([on_cpu, on_cpu])
    assert packing_is_faster([elsewhere, elsewhere])
    assert not packing_is_faster([elsewhere])
