"""Losses between student's and teacher's features against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chiasm.losses.matched_features import cosine_distance, smooth_l1


def slow_cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    pairs = zip(student.flatten(0, -2), teacher.flatten(0, -2), strict=True)
    return torch.stack([1 - torch.dot(one, other) / (one.norm() * other.norm()) for one, other in pairs]).mean()


def slow_smooth_l1(student: Tensor, teacher: Tensor) -> Tensor:
    pairs = zip(student.flatten(), teacher.flatten(), strict=True)
    return torch.stack([d * d / 2 if d < 1 else d - 0.5 for d in ((a - b).abs() for a, b in pairs)]).mean()


def draw() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = 2 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    return first.requires_grad_(), second


@pytest.mark.parametrize(("fast", "slow"), [(cosine_distance, slow_cosine_distance), (smooth_l1, slow_smooth_l1)])
def test_equal_the_slow_formulas_with_their_gradients(fast, slow):
    student, teacher = draw()
    torch.testing.assert_close(fast(student, teacher), slow(student, teacher))
    gradients = [torch.autograd.grad(loss(student, teacher), student) for loss in (fast, slow)]
    torch.testing.assert_close(*gradients)
    assert torch.autograd.gradcheck(lambda rows: fast(rows, teacher), student)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(fast(student[order], teacher[order]), fast(student, teacher))
    assert fast(student.bfloat16(), teacher.bfloat16()).dtype == torch.float32


def test_bounds():
    student, teacher = draw()
    assert float(cosine_distance(3 * teacher, teacher)) == pytest.approx(0)
    assert float(cosine_distance(-teacher, teacher)) == pytest.approx(2)
    assert float(smooth_l1(teacher, teacher)) == 0
