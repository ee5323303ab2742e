"""One of two processes that learn together by the contrastive objectives and the plain ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, distributed
from two_ranks_of_norms import averaged, halved, meet

from chiasm.core.protocols import Objective
from chiasm.core.views import Views
from chiasm.losses.info_nce import info_nce
from chiasm.losses.known_classes import known_classes
from chiasm.objectives import registry
from chiasm.trunks import vit

BATCH = 8
# Unevenly known, so that the mean of the halves' means is not the mean of all.
LABELS = (0, 1, 2, -1, 1, -1, -1, -1)
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "distillation": {},
    "moco_v3": {"hidden_dim": 32, "out_dim": 8, "temperature": 0.5},
    "simclr": {"projection": {"out_dim": 8}},
    "supervised": {"num_classes": 4},
}
TRUNK = {
    "image_size": 16,
    "patch_size": 8,
    "embed_dim": 16,
    "depth": 1,
    "num_heads": 2,
    # Its batch norms are to be joined too.
    "stem": {"kind": "convolutions"},
}


def objective_of(name: str) -> Objective:
    """An objective of double precision around a small trunk."""
    torch.manual_seed(0)
    trunk = vit.Config.parse(TRUNK, "the trunk").build()
    return registry.config(name).parse(SETTINGS[name], "the objective").build(trunk).double()


def batch_of(objective: Objective) -> Views:
    """Pictures of two halves that differ in brightness."""
    generator = torch.Generator().manual_seed(1)
    bright = torch.linspace(0.3, 1, BATCH).view(-1, 1, 1, 1)
    shapes = [(BATCH, 3, spec.size_px, spec.size_px) for spec in objective.views()]
    images = tuple((torch.rand(shape, generator=generator) * 255 * bright).to(torch.uint8) for shape in shapes)
    return Views(images, torch.arange(BATCH), labels=torch.tensor(LABELS))


def half_of(batch: Views, rank: int) -> Views:
    """The rows of one process."""
    images = tuple(halved(images, rank) for images in batch.images)
    labels = None if batch.labels is None else halved(batch.labels, rank)
    return Views(images, halved(batch.indices, rank), labels=labels)


def learned(name: str, rank: int | None) -> dict[str, Tensor]:
    """Loss, gradients, and the state after one step of gradient descent.

    Args:
        name: of the objective.
        rank: of the process; None for one process with the whole batch.
    """
    objective = objective_of(name)
    batch = batch_of(objective)
    loss = objective(batch if rank is None else half_of(batch, rank), 0.3).total
    weights = {path: weight for path, weight in objective.named_parameters() if weight.requires_grad}
    gradients = list(torch.autograd.grad(loss, list(weights.values())))
    figures = [loss.detach()]
    if rank is not None:
        gradients, figures = averaged(gradients), averaged(figures)
    with torch.no_grad():
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight -= 0.1 * gradient
    objective.after_step(0.5)
    told = {f"gradient of {path}": gradient for path, gradient in zip(weights, gradients, strict=True)}
    return {"loss": figures[0], **told, **objective.state_dict()}


def vectors() -> tuple[Tensor, Tensor, Tensor]:
    """A weight to learn, and what it makes queries and logits of; keys."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw(6, 5).requires_grad_(), draw(BATCH, 6), draw(BATCH, 5)


def losses(rank: int | None) -> list[Tensor]:
    """Both losses with their gradients; for `rank` see `learned`."""
    weight, rows, keys = vectors()
    labels = torch.tensor(LABELS)
    if rank is not None:
        rows, keys, labels = halved(rows, rank), halved(keys, rank), halved(labels, rank)
    found: list[Tensor] = []
    for loss in (info_nce(rows @ weight, keys, 0.2), known_classes(rows @ weight, labels, 0.1)):
        found += [loss.detach(), *torch.autograd.grad(loss, weight)]
    return found if rank is None else averaged(found)


def half_of_all(rank: int, folder: str) -> None:
    """Write what two processes learn together."""
    meet(rank, folder)
    torch.save((losses(rank), {name: learned(name, rank) for name in SETTINGS}), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
