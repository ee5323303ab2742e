"""Weights in parts, one with each process, for what does not fit into one.

Paper: Zhao et al., 2023, arXiv 2304.11277 (PyTorch's FSDP, whose second version this is).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from chiasm.core.protocols import Losses, Objective, Trunk
from chiasm.core.views import Views
from chiasm.engine.parallel import Parallel
from chiasm.engine.processes import Processes


class Shards(Parallel):
    """Each process has a part of every weight, and gathers those of a block when it computes with it.

    What lies around the blocks (embedding, norm, heads) is gathered for the whole pass. Every process must use the same
    parameters in a step, since gradients are exchanged as one message.

    Args:
        objective: what is shared out; its weights are replaced by their parts.
        trunks: all trunks in it.
        device: of this process.
        processes: all that take part.
    """

    holds_all = False

    def __init__(
        self, objective: Objective, trunks: Sequence[Trunk], device: torch.device, processes: Processes
    ) -> None:
        mesh = init_device_mesh(device.type, (processes.count,))
        for trunk in trunks:
            for level in trunk.levels()[1:-1]:
                for part in level:
                    fully_shard(part, mesh=mesh)
        fully_shard(objective, mesh=mesh)
        self._objective = objective

    def forward(self, batch: Views, progress: float) -> Losses:
        return self._objective(batch, progress)

    def adding_up(self, last: bool) -> AbstractContextManager[None]:
        if isinstance(self._objective, FSDPModule):
            self._objective.set_requires_gradient_sync(last)
        return nullcontext()

    def join_gradients(self) -> None:
        """They are joined as they are computed."""

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def own(self, tensor: Tensor) -> Tensor:
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor

    def laid(self, tensor: Tensor, pattern: Tensor) -> Tensor:
        if not isinstance(pattern, DTensor):
            return tensor
        return distribute_tensor(tensor.to(pattern.device), pattern.device_mesh, pattern.placements)
