"""A small objective and its batches: enough to exercise the loop, with dropout so that random states matter."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import nn

from chiasm.core.features import Features
from chiasm.core.protocols import Losses, Objective, Trunk
from chiasm.core.seeds import stream
from chiasm.core.views import Views, ViewSpec


class ToyTrunk(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.embed_dim, self.image_size, self.patch_size, self.hides_patches = 8, 8, 8, False
        self.replaces_patches = False
        self.layer = nn.Linear(3 * 64, 8)
        self.dropout = nn.Dropout(0.2)

    def normalize(self, images):
        return images.float() / 255 - 0.5

    def forward(self, images, *, patch_mask=None, layers=()):
        token = self.dropout(self.layer(images.flatten(1)))
        return Features(token[:, None], token[:, None], (1, 1), 1)

    def levels(self):
        return ((self.layer,),)


class ToyObjective(Objective):
    """Tell whether the picture is bright; `poison` makes the loss break at one step."""

    def __init__(self, poison_step: int = -1, collapsed: bool = False) -> None:
        super().__init__()
        self.trunk = ToyTrunk()
        self.out = nn.Linear(8, 1)
        self.norm = nn.BatchNorm1d(8)
        self.poison_step, self.collapsed, self.calls, self.progress = poison_step, collapsed, 0, []

    def views(self):
        return (ViewSpec(size_px=8),)

    def forward(self, batch, progress):
        images = self.trunk.normalize(batch.images[0])
        token = self.norm(self.trunk(images).prefix[:, 0])
        target = images.mean(dim=(1, 2, 3))
        loss = (self.out(token).squeeze(1) - target).square().mean()
        if self.calls == self.poison_step:
            loss = loss * float("nan")
        self.calls += 1
        embeddings = torch.ones_like(token) if self.collapsed else token
        return Losses(loss, embeddings.detach(), {"mse": loss.detach()})

    def after_step(self, progress):
        self.progress.append(progress)


class ToyBatches:
    """Batch n is a pure function of n."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def iterate(self, first_step: int) -> Generator[Views]:
        step = first_step
        while True:
            self.asked.append(step)
            pixels = stream(7, "toy", step).integers(0, 256, (16, 3, 8, 8), np.uint8)
            yield Views((torch.from_numpy(pixels),), torch.arange(16))
            step += 1
