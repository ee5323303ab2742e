"""NT-Xent against the slow formula of the paper, and against itself on two ranks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from two_ranks import half_of_nt_xent, problem

from chiasm.losses.nt_xent import nt_xent


def slow_nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Equation 1 and algorithm 1 of arXiv:2002.05709, one pair at a time."""
    views = [row for pair in zip(first, second, strict=True) for row in pair]

    def sim(i, k):
        return torch.dot(views[i], views[k]) / (views[i].norm() * views[k].norm())

    def loss(i, j):
        numerator = torch.exp(sim(i, j) / temperature)
        denominator = torch.stack([torch.exp(sim(i, k) / temperature) for k in range(len(views)) if k != i]).sum()
        return -torch.log(numerator / denominator)

    pairs = [loss(2 * k, 2 * k + 1) + loss(2 * k + 1, 2 * k) for k in range(len(first))]
    return torch.stack(pairs).sum() / len(views)


@pytest.mark.parametrize("batch", [2, 3, 8])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_equals_the_slow_formula_with_its_gradient(batch, temperature):
    generator = torch.Generator().manual_seed(batch)
    first, second = (torch.randn(batch, 5, generator=generator, requires_grad=True) for _ in range(2))
    fast = nt_xent(first, second, temperature)
    slow = slow_nt_xent(first, second, temperature)
    assert torch.allclose(fast, slow, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(
        torch.autograd.grad(fast, (first, second)), torch.autograd.grad(slow, (first, second)), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_bounds():
    same = torch.ones(6, 4)
    assert float(nt_xent(same, same, 0.1)) == pytest.approx(math.log(11), abs=1e-5)
    axes = torch.eye(6)
    assert float(nt_xent(axes, axes, 0.05)) < 1e-6


def test_length_of_the_projections_does_not_matter():
    first, second = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1)).unbind()
    assert torch.allclose(nt_xent(3 * first, 0.1 * second, 0.2), nt_xent(first, second, 0.2), atol=1e-5)


def test_two_ranks_equal_one_with_the_whole_batch(tmp_path):
    """Loss and gradient of two processes with half a batch each, averaged as DDP does."""
    weight, first, second = problem()
    whole = nt_xent(first @ weight, second @ weight, 0.2)
    (gradient,) = torch.autograd.grad(whole, weight)
    spawn(half_of_nt_xent, args=(str(tmp_path),), nprocs=2)
    results = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.allclose((results[0][0] + results[1][0]) / 2, whole, atol=1e-6)
    assert torch.allclose((results[0][1] + results[1][1]) / 2, gradient, atol=1e-6)
    assert not torch.allclose(results[0][1], gradient, atol=1e-3)


def test_low_precision_input_is_computed_in_float32():
    first, second = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(2)).unbind()
    low = nt_xent(first.bfloat16(), second.bfloat16(), 0.1)
    assert low.dtype == torch.float32
    assert torch.allclose(low, nt_xent(first, second, 0.1), rtol=0.05)


def test_autocast_does_not_lower_the_precision():
    first, second = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(3)).unbind()
    with torch.autocast("cpu", torch.bfloat16):
        low = nt_xent(first, second, 0.1)
    assert torch.equal(low, nt_xent(first, second, 0.1))
