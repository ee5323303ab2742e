"""A running average of weights, which generalises better than the last ones."""

from __future__ import annotations

import torch
from torch import nn

from chiasm.ops.averages import move_towards


class Ema:
    """Exponential moving average of the state of a module.

    Args:
        module: what is averaged; it goes on learning.
        momentum: share of the old average kept at each step; early on less is kept, so that the random start fades.

    Attributes:
        averages: by the names of the module's state; what is no floating-point number is the last one.
    """

    def __init__(self, module: nn.Module, momentum: float) -> None:
        self.averages = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._momentum = momentum

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards the module after optimiser step number `step` (from 1)."""
        momentum = min(self._momentum, step / (step + 10))
        theirs = module.state_dict()
        moving = [name for name, value in self.averages.items() if value.is_floating_point()]
        move_towards([self.averages[name] for name in moving], [theirs[name] for name in moving], momentum)
        for name, value in self.averages.items():
            if not value.is_floating_point():
                value.copy_(theirs[name])
