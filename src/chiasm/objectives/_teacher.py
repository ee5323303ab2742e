"""A teacher that follows its student: a copy whose weights are a moving average of the student's.

Paper: Tarvainen and Valpola, 2017, arXiv 1703.01780, section 2; He et al., 2019, arXiv 1911.05722, section 3.2
(momentum encoder); Caron et al., 2021, arXiv 2104.14294, section 3.1 (teacher).
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from chiasm.layers.positions import RotaryPositions
from chiasm.layers.residual import DropPath
from chiasm.ops.averages import move_towards

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def teacher_of(student: ModuleT) -> ModuleT:
    """A copy that does not learn by gradients, drops nothing and leaves positions where they are.

    Its batch norms go on normalising by the batch in training, as those of the papers' teachers do.
    """
    teacher = copy.deepcopy(student).requires_grad_(False)
    for part in teacher.modules():
        if isinstance(part, DropPath):
            part.rate = 0.0
        elif isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(part, RotaryPositions):
            part.hold_still()
    return teacher


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's weights towards the student's; its own statistics of batch norms stay as they are.

    Args:
        teacher: made by `teacher_of`.
        student: of the same parts.
        momentum: share of the teacher's weights that stays, 0 to 1.
    """
    move_towards(list(teacher.parameters()), list(student.parameters()), momentum)
