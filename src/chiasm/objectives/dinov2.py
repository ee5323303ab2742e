"""DINOv2: DINO, the same at hidden patches (iBOT), and vectors that keep apart (KoLeo).

Paper: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023, arXiv:2304.07193, section 4
and appendix B; Zhou et al., "iBOT", 2021, arXiv:2111.07832, section 3.
Differs: see `objectives._crops` and `objectives._self_distillation`. A trunk whose stages merge patches has whole
tokens of its last stage hidden, so that every score has a place. KoLeo looks for neighbours within a process.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import unless_given, usually
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.core.protocols import Losses, Trunk
from chiasm.core.rates import LearningGroup, layerwise
from chiasm.core.views import BlockMask, Masking, Views, ViewSpec
from chiasm.heads import prototypes
from chiasm.losses.dino import dino_loss
from chiasm.losses.ibot import ibot_loss
from chiasm.losses.koleo import koleo
from chiasm.losses.targets import Balanced, Centred
from chiasm.objectives import _self_distillation as shared
from chiasm.objectives._crops import NUM_GLOBAL, Crops, stacked
from chiasm.objectives._teacher import teacher_of

FREE_HEAD = prototypes.Config(norm_last_layer=False)


class Config(shared.Settings):
    """Settings of DINOv2; see `_self_distillation.Settings` for those that DINO has too.

    Attributes:
        patch_head: the head of hidden patches; None to share that of the class token.
        masks: which patches of the global views are hidden from the student.
        patch_weight: of the loss at hidden patches.
        koleo_weight: of the distance between vectors.
        level_decay: factor on the learning rate of each level of the trunk for every level after it.
        embedding_scale: further factor on that of the patch embedding.
        trunk_waits: share of the run during which the trunk does not learn, so that new heads do not spoil one that
            has learned already; over as long again its learning rate rises.
    """

    crops: Annotated[Crops, unless_given(boundary=0.32)] = Crops(boundary=0.32)
    head: Annotated[prototypes.Config, unless_given(norm_last_layer=False)] = FREE_HEAD
    targets: Annotated[Centred | Balanced, Field(discriminator="kind"), usually("sinkhorn")] = Balanced()
    momentum: float = Field(default=0.992, ge=0, le=1)
    patch_head: Annotated[prototypes.Config | None, unless_given(norm_last_layer=False)] = FREE_HEAD
    masks: BlockMask = BlockMask()
    patch_weight: float = Field(default=1.0, ge=0)
    koleo_weight: float = Field(default=0.1, ge=0)
    level_decay: float = Field(default=0.9, gt=0, le=1)
    embedding_scale: float = Field(default=0.2, gt=0, le=1)
    trunk_waits: float = Field(default=0.0, ge=0, lt=1)

    def build(self, trunk: Trunk) -> DinoV2:
        """Wire the objective around a trunk.

        Raises:
            InputError: the trunk cannot put a mask token in the place of hidden patches.
        """
        if not trunk.replaces_patches:
            raise InputError(
                "a trunk that puts a mask token in the place of hidden patches",
                f"this {type(trunk).__name__} does not",
                "choose a vit or a swin, and say --trunk.hiding.kind mask_token",
            )
        return DinoV2(trunk, self)


def fitted(settings: Config, num_pictures: int) -> Config:
    """Settings with what was not given chosen by the number of pictures, for both heads."""
    chosen = shared.fitted(settings, num_pictures)
    if settings.patch_head is None:
        return chosen
    return chosen.model_copy(update={"patch_head": shared.fitted_head(settings.patch_head, num_pictures)})


class DinoV2(shared.SelfDistillation):
    """Adds hidden patches, which the teacher sees and the student must tell."""

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        super().__init__(trunk, settings)
        self.settings = settings
        own = settings.patch_head
        self.patch_head = None if own is None else own.build(trunk.embed_dim)
        self.teacher_patch_head = None if self.patch_head is None else teacher_of(self.patch_head)
        # Patches have other means than pictures, so their centre is their own even where the head is not.
        self.patch_targets = settings.targets.build((own or settings.head).num_prototypes)
        if own is None and self.pool.out_dim != trunk.embed_dim:
            raise InputError(
                "a pool as wide as a token, where the head is shared with patches",
                f"one of {self.pool.out_dim} for {trunk.embed_dim} came",
                "give --objective.patch-head settings, or choose another pool",
            )

    def views(self) -> tuple[ViewSpec, ...]:
        """Two global views with hidden patches, then the local ones."""
        grid = self._grid(self.trunk.stride_px)
        masking = Masking(how=_for_grid(self.settings.masks, grid), grid=grid)
        return self.settings.crops.views(self.trunk, "inverted", masking)

    def groups(self) -> tuple[LearningGroup, ...]:
        """Levels of the trunk, heads, and the prototypes, which wait."""
        heads = (self.head,) if self.patch_head is None else (self.head, self.patch_head)
        return (*self._trunk_groups(), *self._head_groups(heads))

    def forward(self, batch: Views, progress: float) -> Losses:
        """DINO between the views, the same at hidden patches, and the distance between vectors."""
        settings = self.settings
        temperature = settings.teacher_temperature_at(progress)
        hidden = _hidden(batch)
        groups = stacked(batch, self.trunk)
        with torch.no_grad():
            taught = self.teacher_trunk(groups[0])
            targets = self.targets(self._taught(taught), temperature).unflatten(0, (NUM_GLOBAL, -1))
            patch_targets = self.patch_targets(self._taught_patches(taught, hidden), temperature)
        masks = (self._of_patches(hidden), *[None] * (len(groups) - 1))
        learned = self.trunk.encode_together(groups, masks)
        vectors = [self.pool(features) for features in learned]
        scores = self.head(torch.cat(vectors)).unflatten(0, (len(batch.images), -1))
        patch_head = self.head if self.patch_head is None else self.patch_head
        patch_scores = patch_head(learned[0].patches[hidden])

        dino = dino_loss(scores, targets, settings.student_temperature)
        ibot = ibot_loss(patch_scores, patch_targets, hidden, settings.student_temperature)
        apart = self._apart(vectors[0])
        total = dino + settings.patch_weight * ibot + settings.koleo_weight * apart
        terms = {"dino": dino.detach(), "ibot": ibot.detach(), "koleo": apart.detach(), **shared.figures(targets, dino)}
        return Losses(total=total, embeddings=vectors[0].detach(), terms=terms)

    def _apart(self, vectors: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        """KoLeo of each view: views of one picture are to be alike, so neighbours are looked for within one view."""
        if not self.settings.koleo_weight:
            return vectors.new_zeros(())
        views = vectors.chunk(NUM_GLOBAL)
        if len(views[0]) < 2:
            raise InputError(
                "two pictures in each process, where vectors are kept apart",
                "one came",
                "raise --engine.batch-size, or say --objective.koleo-weight 0",
            )
        return torch.stack([koleo(view) for view in views]).sum()

    def _pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        if self.patch_head is None or self.teacher_patch_head is None:
            return super()._pairs()
        return (*super()._pairs(), (self.teacher_patch_head, self.patch_head))

    def _trunk_groups(self) -> tuple[LearningGroup, ...]:
        settings = self.settings
        levels = layerwise(self.trunk.levels(), settings.level_decay, settings.embedding_scale)
        return tuple(replace(level, waits=settings.trunk_waits, rises=settings.trunk_waits) for level in levels)

    def _taught_patches(self, features: Features, hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "M K"]:
        """The teacher's scores at the patches that the student does not see."""
        head = self.teacher_head if self.teacher_patch_head is None else self.teacher_patch_head
        return head(features.patches[hidden])

    def _of_patches(self, hidden: Bool[Tensor, "B N"]) -> Bool[Tensor, "B _"]:
        """The mask of tokens of the features as one of the patches that go into the trunk."""
        repeats = self.trunk.stride_px // self.trunk.patch_size
        squares = hidden.unflatten(1, (self._grid(self.trunk.stride_px), -1))
        patches = squares.repeat_interleave(repeats, dim=1).repeat_interleave(repeats, dim=2)
        side = self._grid(self.trunk.patch_size)
        return patches[:, :side, :side].flatten(1)

    def _grid(self, stride_px: int) -> int:
        """Tokens along a side of a global view; trunks whose stages merge patches fill up what is left over."""
        return -(-self.trunk.image_size // stride_px)


def _for_grid(masks: BlockMask, grid: int) -> BlockMask:
    """The rule with rectangles that fit a small grid, unless it was given: four patches suit 196.

    Raises:
        InputError: not one of the given size fits, so that nothing would ever be hidden.
    """
    if "min_patches" in masks.model_fields_set:
        most = int(masks.max_ratio * grid * grid)
        if masks.min_patches > most:
            came = f"{masks.min_patches} came for {grid} x {grid} patches, of which {most} are hidden at most"
            raise InputError("masks whose min_patches can be hidden", came, "lower it, or raise max_ratio")
        return masks
    return masks.model_copy(update={"min_patches": min(masks.min_patches, max(1, grid * grid // 16))})


def _hidden(batch: Views) -> Bool[Tensor, "B N"]:
    """The masks of the global views, one after the other.

    Raises:
        ValueError: the batch has none.
    """
    masks = [mask for mask in batch.masks[:NUM_GLOBAL] if mask is not None]
    if len(masks) < NUM_GLOBAL:
        raise ValueError(f"DINOv2 needs a mask for both global views, but {len(masks)} came")
    return torch.cat(masks)
