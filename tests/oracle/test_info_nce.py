"""InfoNCE against the slow formula of the paper."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from chiasm.losses.info_nce import info_nce


def slow_info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Equation 1 of arXiv:2104.02057, one query at a time."""
    losses = []
    for row, query in enumerate(queries):

        def similarity(key: Tensor, query: Tensor = query) -> Tensor:
            return torch.dot(query / query.norm(), key / key.norm()) / temperature

        positive = torch.exp(similarity(keys[row]))
        negatives = [torch.exp(similarity(key)) for other, key in enumerate(keys) if other != row]
        losses.append(-torch.log(positive / (positive + torch.stack(negatives).sum())))
    return torch.stack(losses).mean()


def draw(batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    first, second = torch.randn(2, batch, 5, generator=generator, dtype=torch.float64).unbind()
    return first.requires_grad_(), second


@pytest.mark.parametrize("batch", [2, 3, 8])
@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_equals_the_slow_formula_with_its_gradient(batch, temperature):
    queries, keys = draw(batch)
    fast, slow = info_nce(queries, keys, temperature), slow_info_nce(queries, keys, temperature)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(torch.autograd.grad(fast, queries), torch.autograd.grad(slow, queries))
    assert torch.autograd.gradcheck(lambda rows: info_nce(rows, keys, temperature), queries)


def test_no_gradient_flows_into_the_keys():
    queries, keys = draw(4)
    keys.requires_grad_()
    info_nce(queries, keys, 0.2).backward()
    assert queries.grad is not None
    assert keys.grad is None


def test_order_and_length_do_not_matter():
    queries, keys = draw(8)
    loss = info_nce(queries, keys, 0.2)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(info_nce(queries[order], keys[order], 0.2), loss)
    torch.testing.assert_close(info_nce(3 * queries, 0.1 * keys, 0.2), loss)
    assert abs(float((info_nce(queries, keys[order], 0.2) - loss).detach())) > 0.01


def test_bounds():
    same = torch.ones(6, 4)
    assert float(info_nce(same, same, 0.1)) == pytest.approx(math.log(6), abs=1e-5)
    axes = torch.eye(6)
    assert float(info_nce(axes, axes, 0.05)) < 1e-6


def test_low_precision_input_is_computed_in_float32():
    queries, keys = (rows.detach().float() for rows in draw(8))
    low = info_nce(queries.bfloat16(), keys.bfloat16(), 0.1)
    assert low.dtype == torch.float32
    assert torch.allclose(low, info_nce(queries, keys, 0.1), rtol=0.05)


def test_autocast_does_not_lower_the_precision():
    first, second = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(3)).unbind()
    with torch.autocast("cpu", torch.bfloat16):
        low = info_nce(first, second, 0.1)
    assert torch.equal(low, info_nce(first, second, 0.1))
