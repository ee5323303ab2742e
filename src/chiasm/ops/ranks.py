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


def pass_on(rows: Float[Tensor, "_ D"]) -> Float[Tensor, "_ D"]:
    """Give rows to the next rank and get those of the one before; gradients go back the same way.

    Every rank must give equally many rows, and as many times.
    """
    if num_ranks() == 1:
        return rows
    return _PassedOn.apply(rows)


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


class _PassedOn(torch.autograd.Function):
    """Rows of the rank before; backwards, the next one tells what it made of ours."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        del ctx
        return _exchange(rows, to=rank() + 1, of=rank() - 1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        del ctx
        return _exchange(gradients[0], to=rank() - 1, of=rank() + 1)


def _exchange(rows: Tensor, to: int, of: int) -> Tensor:
    """Send rows to one rank while those of another come in; ranks are counted around."""
    rows = rows.contiguous()
    came = torch.empty_like(rows)
    both = [
        distributed.P2POp(distributed.isend, rows, to % num_ranks()),
        distributed.P2POp(distributed.irecv, came, of % num_ranks()),
    ]
    for work in distributed.batch_isend_irecv(both):
        work.wait()
    return came
