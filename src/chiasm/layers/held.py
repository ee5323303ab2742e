"""A module that is used and not trained: it moves with its owner, and is no part of what the owner learns or saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Held(nn.Module, Generic[ModuleT]):
    """Holds a frozen module, always in evaluation.

    Its weights are not among the owner's parameters and not in its state: an optimiser does not see them, processes do
    not exchange them, and a checkpoint, which could only repeat what was loaded, does not grow by them.

    Args:
        module: what is held; its weights stop learning.
    """

    def __init__(self, module: ModuleT) -> None:
        super().__init__()
        # In a tuple, where `nn.Module` does not find it.
        self._held = (module.requires_grad_(False).eval(),)

    @property
    def module(self) -> ModuleT:
        """What is held."""
        return self._held[0]

    def on(self, device: torch.device) -> ModuleT:
        """What is held, on a device. Its owner's may be reached in other ways than by `to` (shards)."""
        return self.module.to(device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """What `to`, `cuda`, `double` and the like call."""
        self.module._apply(fn, recurse)
        return super()._apply(fn, recurse)


def held_weights(owner: nn.Module) -> Iterator[nn.Parameter]:
    """Weights of everything that is held somewhere in a module."""
    for part in owner.modules():
        if isinstance(part, Held):
            yield from part.module.parameters()
