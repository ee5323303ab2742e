"""SimMIM: tell the pixels of patches in whose place the trunk saw a mask token.

Paper: Xie, Zhang, Cao, Lin, Bao, Yao, Dai, Hu, "SimMIM: A Simple Framework for Masked Image Modeling", 2021,
arXiv:2111.09886, section 3; augmentation section 4.1.
Differs: the paper hides squares of 32 px of pictures of 192 and 224 px; for other sizes their side is the power of two
that is nearest to a sixth of the picture's.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, UInt8
from pydantic import Field
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.core.protocols import Losses, ObjectiveConfig, Trunk
from chiasm.core.views import RandomMask, Views
from chiasm.heads.pixel_head import PixelHead
from chiasm.losses.masked_pixels import masked_l1
from chiasm.objectives._masked_pixels import MaskedPixels, losses_of, pictures_of, view_of
from chiasm.ops.patches import hidden_pixels, unpatchify

UNITS_PER_SIDE = 6
"""Squares along a side: six of 32 px in the paper's 192 px."""


class Config(ObjectiveConfig):
    """Settings of SimMIM.

    Attributes:
        mask_ratio: share of a picture that is hidden.
        mask_unit_px: side of the squares that are hidden or shown as one, rounded to whole patches; None fits it to the
            picture.
        min_area: smallest share of the picture that the view shows.
    """

    mask_ratio: float = Field(default=0.6, gt=0, lt=1)
    mask_unit_px: int | None = Field(default=None, gt=0)
    min_area: float = Field(default=0.67, gt=0, le=1)

    def build(self, trunk: Trunk) -> SimMIM:
        """Wire the objective around a trunk.

        Raises:
            InputError: the trunk has no mask token.
        """
        if not trunk.replaces_patches:
            do = "build it with --trunk.hiding.kind mask_token, or choose mae if it leaves hidden patches out"
            raise InputError("a trunk that puts a mask token in the place of hidden patches", "this one does not", do)
        return SimMIM(trunk, self)


class SimMIM(MaskedPixels):
    """A trunk that replaces hidden patches, and a linear map from its tokens to the pixels that they stand for."""

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        unit_px = settings.mask_unit_px or fitting_unit_px(trunk.image_size)
        unit = max(1, round(unit_px / trunk.patch_size))
        super().__init__(trunk, RandomMask(ratio=settings.mask_ratio, unit=unit), settings.min_area)
        self.head = PixelHead(trunk.embed_dim, trunk.stride_px)

    def forward(self, batch: Views, progress: float) -> Losses:
        """Mean absolute error of the hidden pixels, normalised as the trunk sees them."""
        del progress
        images, patch_mask = view_of(batch)
        target = self.trunk.normalize(images)
        features, predicted = self._predict(target, patch_mask)
        hidden = hidden_pixels(patch_mask, images, self.trunk.patch_size)
        loss = masked_l1(predicted, target, hidden)
        return losses_of("l1", loss, _flat_loss(target, hidden), features.patches.mean(dim=1))

    @torch.no_grad()
    def reconstruct(self, batch: Views) -> UInt8[Tensor, "B 3 H W"]:
        images, patch_mask = view_of(batch)
        _, predicted = self._predict(self.trunk.normalize(images), patch_mask)
        hidden = hidden_pixels(patch_mask, images, self.trunk.patch_size)
        return torch.where(hidden, pictures_of(self.trunk, predicted), images)

    def _predict(
        self, images: Float[Tensor, "B 3 H W"], patch_mask: Bool[Tensor, "B N"]
    ) -> tuple[Features, Float[Tensor, "B 3 H W"]]:
        """Features and predicted pictures; what the last tokens stand for beyond a picture is cut off."""
        features = self.trunk(images, patch_mask=patch_mask)
        whole = unpatchify(self.head(features.patches), features.grid, self.trunk.stride_px)
        return features, whole[..., : images.shape[-2], : images.shape[-1]]


def fitting_unit_px(image_size: int) -> int:
    """Side of the squares to hide for pictures of a size: 32 for 192 and 224, 8 for 64, 4 for 32."""
    return 1 << max(0, round(math.log2(image_size / UNITS_PER_SIDE)))


@torch.no_grad()
def _flat_loss(target: Float[Tensor, "B 3 H W"], hidden: Bool[Tensor, "B 1 H W"]) -> Float[Tensor, ""]:
    """The loss of the mean of all hidden numbers."""
    count = (hidden.sum() * target.shape[1]).clamp(min=1)
    mean = torch.where(hidden, target, 0.0).sum() / count
    return torch.where(hidden, target - mean, 0.0).abs().sum() / count
