"""Distillation: a small trunk learns to give what a frozen trained one gives, for whole pictures and for each place.

Paper: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531 (a small net learns
from what a large one says); Ranzinger et al., "AM-RADIO", 2023, arXiv 2312.06709, section 3 (features in the place of
logits, and the losses); Beyer et al., 2021, arXiv 2106.05237, section 3 (teacher and student see the same crop).
Differs: one teacher; a linear map takes the student's features to the teacher's width, where AM-RADIO has two layers;
the teacher's map is resampled to the student's grid, also where that is the finer one; no labels, no mixup.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.protocols import Losses, Objective, ObjectiveConfig, Trunk
from chiasm.core.views import Views, ViewSpec
from chiasm.heads import pool as pools
from chiasm.layers.held import Held
from chiasm.losses.matched_features import cosine_distance, smooth_l1
from chiasm.objectives._light import light_view
from chiasm.objectives._teacher import teacher_of
from chiasm.ops.float32 import at_least_float32


class Teacher(nn.Module):
    """What is known of a batch of pictures: one vector each, and a map.

    Args:
        trunk: trained.
        pool: how its tokens become the vector.
    """

    def __init__(self, trunk: Trunk, pool: pools.Pool) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = pool

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B D h w"]]:
        """Vectors and maps of square pictures of any size, which are resized to the trunk's own."""
        features = self.trunk(self.trunk.normalize(_resized(images, self.trunk.image_size)))
        return self.pool(features), features.patch_map()


class Config(ObjectiveConfig):
    """Settings of distillation.

    Attributes:
        patches_weight: of the patches' loss, where the whole picture's has 1.
        cosine_share: of the patches' loss; the rest is smooth L1, which the lengths of the vectors matter to.
        min_area: smallest share of the picture that the view shows.
        colour: strength of the jitter of brightness, contrast and saturation.
        pool: how the student's tokens become one vector.
    """

    patches_weight: float = Field(default=1.0, ge=0)
    cosine_share: float = Field(default=0.9, ge=0, le=1)
    min_area: float = Field(default=0.08, gt=0, le=1)
    colour: float = Field(default=0.4, ge=0)
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    def build(self, trunk: Trunk) -> Distillation:
        """Wire the objective around a trunk whose teacher is itself, as it is now.

        So a trunk keeps what it knows while it gets used to other pictures. Another teacher is given to `Distillation`.
        """
        pool = self.pool.build(trunk.embed_dim)
        return Distillation(trunk, Teacher(teacher_of(trunk), teacher_of(pool)), self)


class Distillation(Objective):
    """A student, a frozen teacher, and linear maps from the one's features to the other's.

    Args:
        trunk: the student.
        teacher: frozen here; no part of the state.
        settings: the rest.
    """

    def __init__(self, trunk: Trunk, teacher: Teacher, settings: Config) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = settings.pool.build(trunk.embed_dim)
        self.to_vector = nn.Linear(self.pool.out_dim, teacher.pool.out_dim)
        self.to_patches = nn.Linear(trunk.embed_dim, teacher.trunk.embed_dim)
        self.teacher = Held(teacher)
        self.settings = settings

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pool

    def views(self) -> tuple[ViewSpec, ...]:
        """One view: crop, flip, light jitter."""
        return (light_view(self.trunk.image_size, self.settings.min_area, self.settings.colour),)

    def forward(self, batch: Views, progress: float) -> Losses:
        """How far the student's features are from the teacher's of the same view."""
        del progress
        images = batch.images[0]
        with torch.no_grad():
            vectors, maps = self.teacher.on(images.device)(images)
        features = self.trunk(self.trunk.normalize(images))
        pooled = self.pool(features)
        whole = cosine_distance(self.to_vector(pooled), vectors)
        wanted = _on_grid(maps, features.grid)
        given = self.to_patches(features.patches)
        share = self.settings.cosine_share
        patches = share * cosine_distance(given, wanted) + (1 - share) * smooth_l1(given, wanted)
        return Losses(
            total=whole + self.settings.patches_weight * patches,
            embeddings=pooled.detach(),
            terms={"whole": whole.detach(), "patches": patches.detach()},
        )


def _resized(images: UInt8[Tensor, "B 3 H W"], size_px: int) -> UInt8[Tensor, "B 3 _ _"]:
    """Square pictures of another side."""
    if images.shape[-1] == size_px:
        return images
    resized = functional.interpolate(images.float(), size=(size_px, size_px), mode="bicubic", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _on_grid(maps: Float[Tensor, "B D _ _"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
    """A feature map as the tokens of another grid."""
    if tuple(maps.shape[-2:]) != grid:
        maps = functional.interpolate(at_least_float32(maps), size=grid, mode="bilinear", antialias=True)
    return maps.flatten(2).transpose(1, 2)
