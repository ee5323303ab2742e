"""One of two processes that normalise or learn together; a spawned process imports it by name."""

from __future__ import annotations

import os

import torch
from torch import Tensor, distributed, nn

from chiasm.layers.batch_norm import JoinedBatchNorm1d, JoinedBatchNorm2d


def meet(rank: int, folder: str) -> None:
    """Join the other process."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)


def halved(values: Tensor, rank: int) -> Tensor:
    """The rows of one process."""
    return values.chunk(2)[rank]


def averaged(gradients: list[Tensor]) -> list[Tensor]:
    """Mean over the processes, as DDP takes it."""
    for gradient in gradients:
        distributed.all_reduce(gradient)
    return [gradient / 2 for gradient in gradients]


def norms() -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Norms, what goes into each, and what the result is multiplied with to make a loss."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        # Halves that differ in mean and scale: statistics of one alone would be far from those of both. The large mean
        # is where a mean of squares would lose its digits.
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        values[shape[0] // 2 :] = 3 * values[shape[0] // 2 :] + 2
        return values + 1000

    plain = JoinedBatchNorm1d(5, affine=False)
    gain = JoinedBatchNorm1d(5, momentum=None)
    gain.register_parameter("bias", None)
    maps, numbers = JoinedBatchNorm2d(3), JoinedBatchNorm1d(5, track_running_stats=False)
    with torch.no_grad():
        for weight in (*maps.parameters(), *gain.parameters(), *numbers.parameters()):
            weight.add_(torch.randn(weight.shape, generator=generator))
    inputs = [draw(8, 5), draw(8, 5), draw(8, 3, 4, 2), draw(6, 5)]
    return [
        (norm.double(), values, torch.randn(values.shape, generator=generator, dtype=torch.float64))
        for norm, values in zip((plain, gain, maps, numbers), inputs, strict=True)
    ]


def passed(norm: nn.Module, values: Tensor, factors: Tensor, share: float) -> list[Tensor]:
    """Result, gradients of input and weights, and state after two passes.

    Args:
        norm: in training.
        values: what goes in.
        factors: of the result in the loss, which is a mean over all its numbers.
        share: what the gradient of the input is multiplied with: of a process, that is of the mean over processes.
    """
    values = values.clone().requires_grad_()
    norm(values.detach() * 0.9)
    result = norm(values)
    weights = list(norm.parameters())
    gradients = torch.autograd.grad((result.square() * factors).mean(), [values, *weights])
    return [result.detach(), gradients[0] * share, *gradients[1:], *norm.buffers()]


def half_of_norms(rank: int, folder: str) -> None:
    """Write what each norm gives for one half of its rows."""
    meet(rank, folder)
    torch.save([passed(norm, halved(x, rank), halved(f, rank), 0.5) for norm, x, f in norms()], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
