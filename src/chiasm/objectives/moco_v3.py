"""MoCo v3: a view's query should find the key that a slowly moving copy makes of the picture's other view.

Paper: Chen, Xie, He, "An Empirical Study of Training Self-Supervised Vision Transformers", 2021, arXiv 2104.02057,
section 3 and algorithm 1; frozen patch projection section 4; heads, augmentation and momentum section 5 and appendix A.
Differs: hidden widths follow the trunk's; the paper's 4096 holds from 384 (ViT-S) on. A trunk with batch
norms in its stem sees both views in one pass. Up to 64 px views are not blurred; their colours change as much as those
of larger ones, since the paper's strengths are already the halved ones that SimCLR has for CIFAR-10.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from chiasm.core.protocols import Losses, Objective, ObjectiveConfig, Trunk
from chiasm.core.views import Blur, ColourJitter, Views, ViewSpec
from chiasm.heads import pool as pools
from chiasm.heads import projection as projections
from chiasm.layers.patch import PatchEmbedding
from chiasm.losses.info_nce import info_nce
from chiasm.objectives._matches import share_matched
from chiasm.objectives._teacher import follow, teacher_of
from chiasm.ops.schedules import cosine

SMALL_PX = 64
"""Up to this size nothing is blurred."""
PAPER_WIDTH, PAPER_HIDDEN = 384, 4096
"""Width of the paper's smallest trunk, and width between the layers of its heads."""
HIDDEN_STEP = 64
"""Hidden widths are multiples of this."""


class Config(ObjectiveConfig):
    """Settings of MoCo v3.

    Attributes:
        temperature: 0.2 for vision transformers; the paper's ResNet has 1.0.
        momentum: share of the momentum encoder's weights that stays at a step; half a cosine takes it from this to 1.
        freeze_patches: whether a linear patch projection stays as it was drawn, which steadies training; stems of
            convolutions learn in any case.
        num_layers: of the projector; 3 for vision transformers. The predictor has 2.
        hidden_dim: width between the layers of projector and predictor; None is 4096 for trunks from 384 wide on, and
            for narrower ones as much less as they are narrower.
        out_dim: width of queries and keys.
        min_area: smallest share of the picture that a view shows.
        pool: how tokens become one vector.
    """

    temperature: float = Field(default=0.2, gt=0)
    momentum: float = Field(default=0.99, ge=0, le=1)
    freeze_patches: bool = True
    num_layers: int = Field(default=3, ge=1)
    hidden_dim: int | None = Field(default=None, gt=0)
    out_dim: int = Field(default=256, gt=0)
    min_area: float = Field(default=0.08, gt=0, le=1)
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    def build(self, trunk: Trunk) -> MoCoV3:
        """Wire the objective around a trunk."""
        return MoCoV3(trunk, self)

    def projector(self, embed_dim: int) -> projections.ProjectionHead:
        """The head of both encoders, for pooled tokens of a given width."""
        return self._head(embed_dim, embed_dim, self.num_layers)

    def predictor(self, embed_dim: int) -> projections.ProjectionHead:
        """The head after the projector that the momentum encoder has not."""
        return self._head(embed_dim, self.out_dim, 2)

    def _head(self, embed_dim: int, width_in: int, num_layers: int) -> projections.ProjectionHead:
        hidden = self.hidden_dim or usual_hidden_dim(embed_dim)
        settings = projections.Config(num_layers=num_layers, hidden_dim=hidden, out_dim=self.out_dim, last_norm="plain")
        return settings.build(width_in)


def usual_hidden_dim(embed_dim: int) -> int:
    """Width between the layers of the heads for pooled tokens of a given width."""
    share = min(1.0, embed_dim / PAPER_WIDTH)
    return max(1, round(PAPER_HIDDEN * share / HIDDEN_STEP)) * HIDDEN_STEP


class MoCoV3(Objective):
    """An encoder that learns by gradients, a copy that follows it, and a head by which the first predicts the second.

    The trunk to keep is the one that learns, as in the paper.
    """

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        super().__init__()
        if settings.freeze_patches:
            _freeze_patch_projection(trunk)
        self.trunk = trunk
        self.pool = settings.pool.build(trunk.embed_dim)
        self.projector = settings.projector(self.pool.out_dim)
        self.predictor = settings.predictor(self.pool.out_dim)
        self.key_trunk = teacher_of(self.trunk)
        self.key_pool = teacher_of(self.pool)
        self.key_projector = teacher_of(self.projector)
        self.settings = settings

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pool

    def views(self) -> tuple[ViewSpec, ...]:
        """Two views; the first is always blurred, the second seldom but sometimes solarised."""
        first = ViewSpec(
            size_px=self.trunk.image_size,
            min_area=self.settings.min_area,
            jitter=ColourJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1),
            blur=self._blur(1.0),
        )
        return first, first.model_copy(update={"blur": self._blur(0.1), "solarise": 0.2})

    def forward(self, batch: Views, progress: float) -> Losses:
        """InfoNCE from the queries of each view to the keys of the other, times twice the temperature."""
        del progress
        images = self.trunk.normalize(torch.cat(batch.images))
        pooled = self.pool(self.trunk(images))
        queries = [self.predictor(self.projector(view)) for view in pooled.chunk(2)]
        with torch.no_grad():
            key_pooled = self.key_pool(self.key_trunk(images))
            # Each view has batch statistics of its own, as in the paper: the two are drawn differently.
            keys = [self.key_projector(view) for view in key_pooled.chunk(2)]
        temperature = self.settings.temperature
        one, two = info_nce(queries[0], keys[1], temperature), info_nce(queries[1], keys[0], temperature)
        terms = {"info_nce": (one + two).detach() / 2, "match": share_matched(queries[0], keys[1])}
        return Losses(total=2 * temperature * (one + two), embeddings=pooled.detach(), terms=terms)

    def after_step(self, progress: float) -> None:
        """Move the momentum encoder."""
        momentum = cosine(progress, self.settings.momentum, 1.0)
        follow(self.key_trunk, self.trunk, momentum)
        follow(self.key_pool, self.pool, momentum)
        follow(self.key_projector, self.projector, momentum)

    def _blur(self, probability: float) -> Blur | None:
        return None if self.trunk.image_size <= SMALL_PX else Blur(probability=probability)


def _freeze_patch_projection(trunk: Trunk) -> None:
    """Let a linear map from patches of pixels stay as it is."""
    for part in trunk.levels()[0]:
        if isinstance(part, PatchEmbedding):
            part.projection.requires_grad_(False)
