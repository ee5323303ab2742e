"""Supervised learning: a linear map of the pooled tokens tells the class. The plain baseline where labels are there.

Paper: Szegedy et al., 2015, arXiv 1512.00567, section 7 (label smoothing); for the view see `_light`.
Differs: no RandAugment, mixup, CutMix or erasing, which pay in runs of hundreds of epochs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.protocols import Losses, Objective, ObjectiveConfig, Trunk
from chiasm.core.views import Views, ViewSpec
from chiasm.heads import pool as pools
from chiasm.losses.known_classes import UNKNOWN, known_classes
from chiasm.objectives._light import light_view


class Config(ObjectiveConfig):
    """Settings of supervised learning.

    Attributes:
        num_classes: of the data; a recipe takes it from there. As usual those of ImageNet.
        label_smoothing: share of each target that is spread evenly over all classes.
        min_area: smallest share of the picture that a view shows.
        colour: strength of the jitter of brightness, contrast and saturation.
        pool: how tokens become one vector.
    """

    num_classes: int = Field(default=1000, gt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    min_area: float = Field(default=0.08, gt=0, le=1)
    colour: float = Field(default=0.4, ge=0)
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    def build(self, trunk: Trunk) -> Supervised:
        """Wire the objective around a trunk."""
        return Supervised(trunk, self)


class Supervised(Objective):
    """A trunk and a linear map to logits.

    Attributes:
        head: pooled tokens to one logit per class.
    """

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = settings.pool.build(trunk.embed_dim)
        self.head = nn.Linear(self.pool.out_dim, settings.num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.settings = settings

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pool

    def views(self) -> tuple[ViewSpec, ...]:
        """One view: crop, flip, light jitter."""
        return (light_view(self.trunk.image_size, self.settings.min_area, self.settings.colour),)

    def forward(self, batch: Views, progress: float) -> Losses:
        """Cross entropy over the pictures of the batch whose class is known.

        Raises:
            InputError: the batch has no labels.
        """
        del progress
        labels = self._labels(batch)
        pooled = self.pool(self.trunk(self.trunk.normalize(batch.images[0])))
        logits = self.head(pooled)
        loss = known_classes(logits, labels, self.settings.label_smoothing)
        terms = {"cross_entropy": loss.detach(), "accuracy": _accuracy(logits, labels)}
        return Losses(total=loss, embeddings=pooled.detach(), terms=terms)

    def _labels(self, batch: Views) -> Int64[Tensor, " B"]:
        if batch.labels is None:
            raise InputError("labels to learn from", "the batch has none", "take a loader that reads them")
        return batch.labels


@torch.no_grad()
def _accuracy(logits: Float[Tensor, "B K"], labels: Int64[Tensor, " B"]) -> Float[Tensor, ""]:
    """Share of this process's pictures of known class that get it; 0 where no class is known."""
    known = labels != UNKNOWN
    return ((logits.argmax(dim=1) == labels) & known).float().sum() / known.sum().clamp(min=1)
