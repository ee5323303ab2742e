"""Shortening gradients that are too long: all of them together, part by part, or tensor by tensor.

Paper: Pascanu et al., 2012, arXiv 1211.5063, section 3.2 (the whole gradient); Caron et al., 2021, arXiv 2104.14294
(each tensor, in its code); Oquab et al., 2023, arXiv 2304.07193 (trunk and heads apart, in its code).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn

from chiasm.engine.parallel import Parallel
from chiasm.engine.settings import ClipBy

_GROUPS: dict[ClipBy, Callable[[str], str]] = {
    "whole": lambda name: "",
    "part": lambda name: name.split(".", 1)[0],
    "parameter": lambda name: name,
}


@torch.no_grad()
def clip(objective: nn.Module, by: ClipBy, limit: float, parallel: Parallel) -> float:
    """Shorten gradients in place, without a loop over tensors on the way; returns the norm of the whole before that.

    Args:
        objective: whose gradients.
        by: what has a norm of its own: all together, each direct part of the objective, or each parameter.
        limit: longest norm that stays as it is; 0 shortens nothing.
        parallel: how gradients lie on the processes.
    """
    named = [(name, weight.grad) for name, weight in objective.named_parameters() if weight.grad is not None]
    if not named:
        return 0.0
    gradients = [parallel.own(gradient) for _, gradient in named]
    squares = torch.stack(torch.ops.aten._foreach_norm(gradients, 2)).float().square()
    if not parallel.holds_all:
        distributed.all_reduce(squares)
    if limit:
        groups = [_GROUPS[by](name) for name, _ in named]
        # The overload by name: looking for it would put every gradient into the text of an error on the way.
        torch.ops.aten._foreach_mul_.List(gradients, list(_factors(squares, groups, limit)))
    return math.sqrt(float(squares.sum()))


def _factors(squares: Tensor, groups: list[str], limit: float) -> Tensor:
    """What each gradient is multiplied by, from the squared norms and the group of each."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    which = torch.tensor([numbers[group] for group in groups], device=squares.device)
    norms = squares.new_zeros(len(numbers)).index_add_(0, which, squares).sqrt()
    return (limit / (norms + 1e-6)).clamp(max=1.0)[which]
