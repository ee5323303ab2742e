"""Cross entropy over known classes against the slow formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from chiasm.losses.known_classes import known_classes


def slow_known_classes(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Section 7 of arXiv:1512.00567, one picture at a time: targets (1 - e) at the label and e / K everywhere."""
    losses = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        if label < 0:
            continue
        probabilities = torch.exp(row) / torch.exp(row).sum()
        num_classes = len(row)
        loss = torch.zeros((), dtype=row.dtype)
        for index in range(num_classes):
            target = (1 - smoothing) * (index == label) + smoothing / num_classes
            loss = loss - target * torch.log(probabilities[index])
        losses.append(loss)
    return torch.stack(losses).mean()


LABELS = torch.tensor([2, -1, 0, 0, -1, 3])


def draw() -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_equals_the_slow_formula_with_its_gradient(smoothing):
    logits = draw()
    fast, slow = known_classes(logits, LABELS, smoothing), slow_known_classes(logits, LABELS, smoothing)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(torch.autograd.grad(fast, logits), torch.autograd.grad(slow, logits))
    assert torch.autograd.gradcheck(lambda rows: known_classes(rows, LABELS, smoothing), logits)


def test_order_and_unknown_pictures_do_not_matter():
    logits = draw()
    loss = known_classes(logits, LABELS, 0.1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(known_classes(logits[order], LABELS[order], 0.1), loss)
    known = LABELS >= 0
    torch.testing.assert_close(known_classes(logits[known], LABELS[known], 0.1), loss)


def test_without_a_known_class_there_is_nothing_to_learn():
    logits = draw()
    loss = known_classes(logits, torch.full((6,), -1), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_equal_logits_tell_nothing():
    assert float(known_classes(torch.zeros(6, 4), LABELS)) == pytest.approx(math.log(4))
