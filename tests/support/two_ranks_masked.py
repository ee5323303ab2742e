"""The work of one of two processes that learn from masked pixels."""

from __future__ import annotations

import os

import torch
from torch import Tensor, distributed

from chiasm.losses.masked_pixels import masked_l1, masked_mse

BATCH, CHANNELS, SIDE = 6, 2, 4


def problem() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A weight to learn, pictures, what they should become, and what is hidden: more of the second half."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, CHANNELS, SIDE, SIDE)
    pictures, target = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    share = torch.linspace(0.2, 0.9, BATCH).view(-1, 1, 1, 1)
    hidden = torch.rand(BATCH, 1, SIDE, SIDE, generator=generator) < share
    return (
        torch.randn(SIDE, SIDE, generator=generator, dtype=torch.float64, requires_grad=True),
        pictures,
        target,
        hidden,
    )


def losses(weight: Tensor, pictures: Tensor, target: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Both losses of some rows."""
    predicted = pictures @ weight
    return masked_l1(predicted, target, hidden), masked_mse(predicted.flatten(2), target.flatten(2))


def half_of_masked(rank: int, folder: str) -> None:
    """Write losses and gradients of one half of the batch to `folder`."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    weight, *rows = problem()
    half = slice(BATCH // 2 * rank, BATCH // 2 * (rank + 1))
    found = losses(weight, *(part[half] for part in rows))
    gradients = [torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in found]
    torch.save(([loss.detach() for loss in found], gradients), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
