"""A running average of weights, which generalises better than the last ones."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

from chiasm.ops.averages import move_towards

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Ema(Generic[ModuleT]):
    """Exponential moving average of a module.

    Args:
        module: what is averaged; it goes on learning.
        momentum: share of the old average kept at each step; early on less is kept, so that the random start fades.
    """

    def __init__(self, module: ModuleT, momentum: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self._momentum = momentum

    @torch.no_grad()
    def update(self, module: ModuleT, step: int) -> None:
        """Move the average towards the module after optimiser step number `step` (from 1)."""
        momentum = min(self._momentum, step / (step + 10))
        ours, theirs = self.module.state_dict(), module.state_dict()
        moving = [name for name, value in ours.items() if value.is_floating_point()]
        move_towards([ours[name] for name in moving], [theirs[name] for name in moving], momentum)
        for name, value in ours.items():
            if not value.is_floating_point():
                value.copy_(theirs[name])
