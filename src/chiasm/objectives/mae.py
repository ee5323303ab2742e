"""MAE: tell the pixels of hidden patches from the visible ones, which are all that the trunk computes.

Paper: He, Chen, Xie, Li, Dollar, Girshick, "Masked Autoencoders Are Scalable Vision Learners", 2021, arXiv:2111.06377,
section 3 and appendix A.1.
Differs: the decoder's size follows the trunk's (`heads.masked_decoder`). A trunk that cannot leave hidden patches out
but has a mask token (Swin) learns by SimMIM (`objectives.simmim`) instead. Crops are resized by a triangle filter
(`data.augment.cpu`), in the paper's code by a bicubic one.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from pydantic import Field
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.core.protocols import Losses, ObjectiveConfig, Trunk
from chiasm.core.views import RandomMask, Views
from chiasm.heads import masked_decoder
from chiasm.losses.masked_pixels import masked_mse, normalised_patches, patch_statistics
from chiasm.objectives._masked_pixels import MaskedPixels, losses_of, pictures_of, view_of
from chiasm.objectives.simmim import Config as SimMIMConfig
from chiasm.ops.patches import grid_of, hidden_pixels, patchify, put_tokens, take_tokens, unpatchify, visible_positions


class Config(ObjectiveConfig):
    """Settings of MAE.

    Attributes:
        mask_ratio: share of the patches that is hidden.
        normalised_target: whether each patch to be told is shifted and scaled to mean 0 and variance 1 first.
        min_area: smallest share of the picture that the view shows.
        decoder: the part that is thrown away after training.
        simmim: the settings for a trunk that puts a mask token in the place of hidden patches; those above are not for
            it.
    """

    mask_ratio: float = Field(default=0.75, gt=0, lt=1)
    normalised_target: bool = True
    min_area: float = Field(default=0.2, gt=0, le=1)
    decoder: masked_decoder.Config = masked_decoder.Config()
    simmim: SimMIMConfig = SimMIMConfig()

    def build(self, trunk: Trunk) -> MaskedPixels:
        """Wire the objective around a trunk.

        Raises:
            InputError: nothing can be hidden from the trunk, settings do not go together, or they are not for the way
                in which this trunk learns.
        """
        if trunk.hides_patches:
            return MaskedAutoencoder(trunk, self)
        if trunk.replaces_patches:
            if unused := sorted(self.model_fields_set - {"simmim"}):
                came = f"{unused[0]} came for one with a mask token, which learns by SimMIM"
                do = "give --objective.simmim settings, or say --trunk.hiding.kind left_out where the trunk can"
                raise InputError("a trunk that leaves hidden patches out, for settings of MAE itself", came, do)
            return self.simmim.build(trunk)
        raise InputError(
            "a trunk that can hide patches",
            "this one looks beyond each patch or has no mask token",
            "take a vit with a linear stem (--trunk.stem.kind linear; one to start from must have learned with it), "
            "say --trunk.hiding.kind mask_token for a swin or a stem of convolutions, or take an objective that hides "
            "nothing",
        )


class MaskedAutoencoder(MaskedPixels):
    """A trunk that sees a part of the patches, and a decoder that tells the others."""

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        super().__init__(trunk, RandomMask(ratio=settings.mask_ratio), settings.min_area)
        self.decoder = settings.decoder.build(trunk)
        self._normalised_target = settings.normalised_target

    def forward(self, batch: Views, progress: float) -> Losses:
        """Mean squared error of the hidden patches."""
        del progress
        images, patch_mask = view_of(batch)
        normalised = self.trunk.normalize(images)
        features, hidden, predicted = self._predict(normalised, patch_mask)
        pixels = take_tokens(patchify(normalised, self.trunk.patch_size), hidden)
        target = normalised_patches(pixels) if self._normalised_target else pixels
        loss = masked_mse(predicted, target)
        return losses_of("mse", loss, target.var(unbiased=False), features.patches.mean(dim=1))

    @torch.no_grad()
    def reconstruct(self, batch: Views) -> UInt8[Tensor, "B 3 H W"]:
        """As in the base; predictions of normalised patches get mean and deviation of the true ones."""
        images, patch_mask = view_of(batch)
        normalised = self.trunk.normalize(images)
        _, hidden, predicted = self._predict(normalised, patch_mask)
        pixels = patchify(normalised, self.trunk.patch_size)
        if self._normalised_target:
            mean, deviation = patch_statistics(take_tokens(pixels, hidden))
            predicted = predicted * deviation + mean
        filled = put_tokens(pixels, hidden, predicted.to(pixels.dtype))
        grid = grid_of(images.shape[-2], images.shape[-1], self.trunk.patch_size)
        told = pictures_of(self.trunk, unpatchify(filled, grid, self.trunk.patch_size))
        return torch.where(hidden_pixels(patch_mask, images, self.trunk.patch_size), told, images)

    def _predict(
        self, images: Float[Tensor, "B 3 H W"], patch_mask: Bool[Tensor, "B N"]
    ) -> tuple[Features, Int64[Tensor, "B _"], Float[Tensor, "B _ _"]]:
        """Features of what is visible, the positions of what is hidden, and what is predicted there."""
        features = self.trunk(images, patch_mask=patch_mask)
        hidden = visible_positions(~patch_mask)
        return features, hidden, self.decoder(features, hidden)
