"""The losses of masked pixels against the slow formulas of the papers, and against themselves on two ranks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from two_ranks_masked import half_of_masked, losses, problem

from chiasm.losses.masked_pixels import masked_l1, masked_mse, normalised_patches


def slow_normalised(patch: Tensor) -> Tensor:
    """Section 3 of arXiv 2111.06377: "the mean and standard deviation of all pixels in a patch"."""
    values = [float(value) for value in patch]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return torch.tensor([(value - mean) / math.sqrt(variance + 1e-6) for value in values], dtype=torch.float64)


def slow_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over the numbers of a patch, then over the patches of all pictures."""
    patches = [
        torch.stack([(ours - true) ** 2 for ours, true in zip(told, meant, strict=True)]).sum() / len(told)
        for told, meant in zip(predicted.flatten(0, 1), target.flatten(0, 1), strict=True)
    ]
    return torch.stack(patches).sum() / len(patches)


def slow_l1(predicted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Equation 2 of arXiv 2111.09886: the L1 distance over hidden values, divided by their number."""
    batch, channels, height, width = target.shape
    errors = [
        (predicted[b, c, y, x] - target[b, c, y, x]).abs()
        for b in range(batch)
        for y in range(height)
        for x in range(width)
        for c in range(channels)
        if hidden[b, 0, y, x]
    ]
    return torch.stack(errors).sum() / len(errors)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_normalised_patches_are_the_slow_formula():
    pixels = drawn(2, 3, 12, seed=0) * 5 + 3
    expected = torch.stack([slow_normalised(patch) for patch in pixels.flatten(0, 1)]).view_as(pixels)
    torch.testing.assert_close(normalised_patches(pixels), expected, rtol=1e-12, atol=1e-12)
    flat = torch.full((1, 1, 48), 0.3)
    assert float(normalised_patches(flat).abs().max()) < 1e-3
    assert normalised_patches(pixels.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 3, 4), (5, 2, 3)])
def test_squared_error_is_the_slow_formula_with_its_gradient(shape):
    predicted, target = drawn(*shape, seed=1).requires_grad_(), drawn(*shape, seed=2)
    fast, slow = masked_mse(predicted, target), slow_mse(predicted, target)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, predicted)[0] for loss in (fast, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
    assert torch.autograd.gradcheck(lambda told: masked_mse(told, target), (predicted,))


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_absolute_error_is_the_slow_formula_with_its_gradient(share):
    predicted, target = drawn(3, 2, 4, 5, seed=3).requires_grad_(), drawn(3, 2, 4, 5, seed=4)
    hidden = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(5)) < share
    fast, slow = masked_l1(predicted, target, hidden), slow_l1(predicted, target, hidden)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, predicted)[0] for loss in (fast, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
    assert not gradients[0][~hidden.expand_as(target)].any()
    assert torch.autograd.gradcheck(lambda told: masked_l1(told, target, hidden), (predicted,))


def test_pictures_may_come_in_any_order():
    predicted, target = drawn(4, 3, 6, seed=6), drawn(4, 3, 6, seed=7)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(masked_mse(predicted[order], target[order]), masked_mse(predicted, target))
    pictures, true, hidden = predicted.view(4, 3, 2, 3), target.view(4, 3, 2, 3), drawn(4, 1, 2, 3, seed=8) > 0
    moved = masked_l1(pictures[order], true[order], hidden[order])
    torch.testing.assert_close(moved, masked_l1(pictures, true, hidden))


def test_nothing_hidden_is_no_loss():
    pictures = drawn(2, 3, 4, 4, seed=9).requires_grad_()
    loss = masked_l1(pictures, torch.zeros_like(pictures), torch.zeros(2, 1, 4, 4, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert pictures.grad is not None
    assert not pictures.grad.any()


def test_low_precision_is_computed_in_float32():
    predicted, target = drawn(2, 3, 8, 8, seed=10).float(), drawn(2, 3, 8, 8, seed=11).float()
    hidden = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    low = (
        masked_l1(predicted.bfloat16(), target, hidden),
        masked_mse(predicted.bfloat16().flatten(2), target.flatten(2)),
    )
    assert [loss.dtype for loss in low] == [torch.float32] * 2
    torch.testing.assert_close(low[0], masked_l1(predicted, target, hidden), rtol=0.01, atol=0)


def test_two_ranks_equal_one_with_the_whole_batch(tmp_path):
    """Losses and gradients of two processes with half a batch each, of which one hides more, averaged as DDP does."""
    weight, *rows = problem()
    whole = losses(weight, *rows)
    gradients = [torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in whole]
    spawn(half_of_masked, args=(str(tmp_path),), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for place in range(2):
        torch.testing.assert_close((parts[0][0][place] + parts[1][0][place]) / 2, whole[place].detach())
        torch.testing.assert_close((parts[0][1][place] + parts[1][1][place]) / 2, gradients[place])
        assert not torch.allclose(parts[0][1][place], gradients[place], atol=1e-3)
