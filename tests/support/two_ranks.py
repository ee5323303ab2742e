"""The work of one of two processes; here, since a spawned process imports it by name, which test files do not have."""

from __future__ import annotations

import os

import torch
from torch import distributed

from chiasm.losses.nt_xent import nt_xent


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A weight to learn and both views of eight pictures."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 5, generator=generator, requires_grad=True)
    return weight, torch.randn(8, 6, generator=generator), torch.randn(8, 6, generator=generator)


def half_of_nt_xent(rank: int, folder: str) -> None:
    """Write loss and gradient of one half of the batch to `folder`."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    weight, first, second = problem()
    half = slice(4 * rank, 4 * rank + 4)
    loss = nt_xent(first[half] @ weight, second[half] @ weight, 0.2)
    (gradient,) = torch.autograd.grad(loss, weight)
    torch.save((loss.detach(), gradient), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
