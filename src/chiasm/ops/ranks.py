"""Gathering tensors from all processes of a run; with one process everything is the identity."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, distributed


def rank() -> int:
    """Number of this process, 0 when there is only one."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


def num_ranks() -> int:
    """How many processes take part in the run, 1 when there is only this one."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gather_rows(rows: Float[Tensor, "_ D"]) -> Float[Tensor, "_ D"]:
    """Rows of all ranks, in the order of ranks; gradients flow back to the rank that each row came from.

    Every rank must give equally many rows.

    The backward pass sums the gradients of all ranks. Together with the averaging of DDP this makes a loss that is a
    mean over local rows equal to the mean over the global batch.
    """
    if num_ranks() == 1:
        return rows
    return _Gathered.apply(rows)


@torch.no_grad()
def sum_over_ranks(values: Float[Tensor, "*_"]) -> Float[Tensor, "*_"]:
    """Elementwise sum over all ranks, which must give tensors of one shape; no gradient flows through it."""
    if num_ranks() == 1:
        return values
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


@torch.no_grad()
def largest_over_ranks(values: Float[Tensor, "*_"]) -> Float[Tensor, "*_"]:
    """Elementwise maximum over all ranks, which must give tensors of one shape; no gradient flows through it."""
    if num_ranks() == 1:
        return values
    highest = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(highest, op=distributed.ReduceOp.MAX)
    return highest


class _Gathered(torch.autograd.Function):
    """Rows of all ranks; backwards, each rank gets what all of them have to say about its own."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        del ctx
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(num_ranks())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        del ctx
        return sum_over_ranks(gradients[0]).chunk(num_ranks())[rank()]
