"""How the weights of an objective lie on the processes of a run, and how their gradients become one.

Paper: Li et al., 2020, arXiv 2006.15704 (copies that average gradients while they are computed, PyTorch's DDP).

A process's gradient is that of the mean over its own rows; objectives gather what their losses compare, so the average
over processes is the gradient of the whole batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from chiasm.core.protocols import Losses, Objective, Trunk
from chiasm.core.views import Views
from chiasm.engine.processes import Processes
from chiasm.engine.settings import Strategy


class Parallel(ABC):
    """Base of all ways; made before the optimiser, since it may replace the weights.

    Attributes:
        holds_all: whether each process holds all weights, so that one of them alone can use a trunk.
    """

    holds_all: bool = True

    @abstractmethod
    def forward(self, batch: Views, progress: float) -> Losses:
        """The objective's losses on this process's rows."""

    def adding_up(self, last: bool) -> AbstractContextManager[None]:
        """Around one of several passes whose gradients add up; only the last of a step needs to be joined."""
        del last
        return nullcontext()

    def whole(self, tensor: Tensor) -> Tensor:
        """The full tensor of one that may lie on the processes in parts; all of them must ask for it."""
        return tensor

    def own(self, tensor: Tensor) -> Tensor:
        """What this process holds of a tensor, sharing its memory."""
        return tensor

    def laid(self, tensor: Tensor, pattern: Tensor) -> Tensor:
        """A full tensor laid on the processes as another one is."""
        del pattern
        return tensor

    @abstractmethod
    def join_gradients(self) -> None:
        """After the last pass of a step: let every process have the average gradient, where it has not already."""


class Alone(Parallel):
    """One process has all weights."""

    def __init__(self, objective: Objective, device: torch.device) -> None:
        self._objective = objective.to(device)

    def forward(self, batch: Views, progress: float) -> Losses:
        return self._objective(batch, progress)

    def join_gradients(self) -> None:
        """There is no other."""


class Copies(Parallel):
    """Each process has a copy of all weights (DDP).

    DDP waits for the gradient of every parameter, so one that a loss does not use (a mask token where nothing is
    hidden) would stop it for ever, unless it searches for those in the graph of every step. Whether there are any is
    found out in the first step, which therefore joins the gradients by itself; only where there are some does DDP
    search.
    """

    def __init__(self, objective: Objective, device: torch.device, processes: Processes) -> None:
        self._objective = objective.to(device)
        self._processes = processes
        self._device_ids = [device] if device.type == "cuda" else None
        self._wrapped: DistributedDataParallel | None = None

    def forward(self, batch: Views, progress: float) -> Losses:
        return (self._wrapped or self._objective)(batch, progress)

    def adding_up(self, last: bool) -> AbstractContextManager[None]:
        return nullcontext() if last or self._wrapped is None else self._wrapped.no_sync()

    def join_gradients(self) -> None:
        if self._wrapped is not None:
            return
        learning = [weight for weight in self._objective.parameters() if weight.requires_grad]
        all_used = _average(learning, self._processes.count)
        self._wrapped = DistributedDataParallel(
            self._objective,
            device_ids=self._device_ids,
            # Statistics and centres are joined by those who keep them.
            forward_sync_buffers=False,
            find_unused_parameters=not all_used,
        )


def placed(objective: Objective, device: torch.device, strategy: Strategy, processes: Processes) -> Parallel:
    """Put an objective on the device of this process, and its weights where the strategy wants them."""
    if processes.count == 1:
        return Alone(objective, device)
    if strategy == "fsdp":
        # Takes more than a second to import.
        from chiasm.engine.shards import Shards

        return Shards(objective, trunks_of(objective), device, processes)
    return Copies(objective, device, processes)


def trunks_of(objective: Objective) -> list[Trunk]:
    """All trunks in an objective: the one that learns, and its teachers."""
    return [part for part in objective.modules() if isinstance(part, Trunk)]


def _average(parameters: Sequence[nn.Parameter], count: int) -> bool:
    """Average the gradients over processes; returns whether each process had one for every parameter.

    Those that none has a gradient for stay without.
    """
    users = torch.tensor([weight.grad is not None for weight in parameters], dtype=torch.int64)
    distributed.all_reduce(users)
    for weight, num_users in zip(parameters, users.tolist(), strict=True):
        if num_users:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            distributed.all_reduce(weight.grad)
            weight.grad /= count
    return bool((users == count).all())
