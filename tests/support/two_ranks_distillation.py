"""The work of one of two processes that learn by self-distillation; see `two_ranks`."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, distributed

from chiasm.core.protocols import ObjectiveConfig
from chiasm.core.views import Views
from chiasm.data.augment import masks
from chiasm.heads import prototypes
from chiasm.layers.hiding import Replaced
from chiasm.losses.targets import Centred
from chiasm.objectives import dino, dinov2
from chiasm.objectives._crops import Crops
from chiasm.objectives._self_distillation import SelfDistillation
from chiasm.ops.sinkhorn import sinkhorn
from chiasm.trunks import vit

HEAD = prototypes.Config(num_prototypes=12, hidden_dim=16, bottleneck_dim=8)
CROPS = Crops(num_local=2)
DINO = dino.Config(head=HEAD, crops=CROPS)
# KoLeo looks at the rows of one process only, as its paper's code does.
DINOV2 = dinov2.Config(head=HEAD, patch_head=HEAD, crops=CROPS, koleo_weight=0)
CENTRED = dinov2.Config(head=HEAD, patch_head=None, crops=CROPS, koleo_weight=0, targets=Centred())
METHODS = {"dino": DINO, "dinov2": DINOV2, "centred": CENTRED}
BATCH = 8


def objective(settings: ObjectiveConfig) -> SelfDistillation:
    """A small one in float64 whose student and teacher differ."""
    torch.manual_seed(0)
    trunk = vit.Config(image_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, hiding=Replaced()).build()
    made = settings.build(trunk).double()
    if not isinstance(made, SelfDistillation):
        raise TypeError(type(made))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def batch(objective: SelfDistillation) -> Views:
    """Views that differ in everything, with masks drawn as the loader draws them."""
    generator = torch.Generator().manual_seed(1)
    specs = objective.views()
    images = [
        torch.randint(256, (BATCH, 3, spec.size_px, spec.size_px), generator=generator, dtype=torch.uint8)
        for spec in specs
    ]
    hidden = [
        None
        if spec.masking is None
        else torch.from_numpy(masks.sample(spec.masking, BATCH, np.random.default_rng(view)))
        for view, spec in enumerate(specs)
    ]
    return Views(tuple(images), torch.arange(BATCH), tuple(hidden))


def part(views: Views, rows: slice) -> Views:
    """Some rows of a batch."""
    images = tuple(images[rows] for images in views.images)
    return Views(images, views.indices[rows], tuple(None if mask is None else mask[rows] for mask in views.masks))


def step(made: SelfDistillation, views: Views) -> dict[str, Tensor]:
    """Loss, gradients and the state after a pass, by name."""
    losses = made(views, 0.5)
    losses.total.backward()
    found = {"total": losses.total.detach()}
    found |= {f"gradient.{name}": value.grad for name, value in made.named_parameters() if value.grad is not None}
    return found | {f"buffer.{name}": value for name, value in made.named_buffers()}


def scores() -> Tensor:
    """Of ten samples for five prototypes."""
    return torch.randn(10, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


SAMPLES = (slice(0, 7), slice(7, 10))
"""Ranks may hold different numbers of samples, as they do of hidden patches."""


def half(rank: int, folder: str) -> None:
    """Write what one process with half of the batch finds to `folder`."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found: dict[str, Tensor] = {"sinkhorn": sinkhorn(scores()[SAMPLES[rank]], 0.3)}
    rows = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    for name, settings in METHODS.items():
        made = objective(settings)
        found |= {f"{name}/{key}": value for key, value in step(made, part(batch(made), rows)).items()}
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
