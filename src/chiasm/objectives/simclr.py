"""SimCLR: two views of a picture should be closer to each other than to every other picture.

Paper: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", 2020,
arXiv:2002.05709, section 2; augmentation appendix A; small pictures appendix B.9.
Differs: the trunk is any `Trunk` (the paper's is a ResNet); the embedding is the pooled tokens; the temperature is
0.2, between the paper's 0.1 and 0.5, and the head has three layers, as in SimCLR v2 (arXiv:2006.10029, section 2).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from chiasm.core.protocols import Losses, Objective, ObjectiveConfig, Trunk
from chiasm.core.views import Blur, ColourJitter, Views, ViewSpec
from chiasm.heads import pool as pools
from chiasm.heads import projection as projections
from chiasm.losses.nt_xent import nt_xent
from chiasm.objectives._matches import share_matched

SMALL_PX = 64
"""Up to this size the paper's settings for CIFAR-10 hold: weaker colour, no blur."""


class Config(ObjectiveConfig):
    """Settings of SimCLR.

    Attributes:
        temperature: the paper's 0.1 for ImageNet; 0.5 was best for its short runs on CIFAR-10 (appendix B.9).
        colour: strength s of the colour jitter; None is 1 for large pictures and 0.5 for small ones, as in the paper.
        grey: probability that a view loses its colours; near 0.5 where colour says nothing about what is to be told
            apart, since a trunk learns to overlook only what differs between views.
        min_area: smallest share of the picture that a view shows.
        projection: the head that is thrown away after training.
        pool: how tokens become one vector.
    """

    temperature: float = Field(default=0.2, gt=0)
    colour: float | None = Field(default=None, ge=0)
    grey: float = Field(default=0.2, ge=0, le=1)
    min_area: float = Field(default=0.08, gt=0, le=1)
    projection: projections.Config = projections.Config()
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    def build(self, trunk: Trunk) -> SimCLR:
        """Wire the objective around a trunk."""
        return SimCLR(trunk, self)


class SimCLR(Objective):
    """A trunk and a projection head that learn by telling pictures apart."""

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = settings.pool.build(trunk.embed_dim)
        self.projection = settings.projection.build(self.pool.out_dim)
        self.settings = settings

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pool

    def views(self) -> tuple[ViewSpec, ...]:
        """Two views drawn from the same distribution."""
        size_px = self.trunk.image_size
        small = size_px <= SMALL_PX
        strength = self.settings.colour if self.settings.colour is not None else (0.5 if small else 1.0)
        view = ViewSpec(
            size_px=size_px,
            min_area=self.settings.min_area,
            jitter=ColourJitter(
                brightness=0.8 * strength,
                contrast=0.8 * strength,
                saturation=0.8 * strength,
                hue=min(0.2 * strength, 0.5),
            ),
            grey=self.settings.grey,
            blur=None if small else Blur(),
        )
        return (view, view)

    def forward(self, batch: Views, progress: float) -> Losses:
        """NT-Xent between the two views of each picture."""
        del progress
        first, second = batch.images
        images = self.trunk.normalize(torch.cat([first, second]))
        pooled = self.pool(self.trunk(images))
        # One pass over both views: batch norm sees 2B rows, as in the paper's code.
        projected = self.projection(pooled)
        one, two = projected.chunk(2)
        loss = nt_xent(one, two, self.settings.temperature)
        return Losses(
            total=loss,
            embeddings=pooled.detach(),
            terms={"nt_xent": loss.detach(), "match": share_matched(one, two)},
        )
