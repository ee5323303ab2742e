"""Multi-crop: two views of most of a picture and several small ones of a part of it.

Paper: Caron et al., 2020, arXiv 2006.09882, section 3.2 (multi-crop); Caron et al., 2021, arXiv 2104.14294, section 3.1
and appendix C; Grill et al., 2020, arXiv 2006.07733, appendix B (different blur and solarisation for the two views).
Differs: local crops are as large against the picture as the paper's 96 px against 224, whatever its size. Pictures of
up to 64 px are not blurred unless that is asked for, as SimCLR does it on CIFAR-10. Crops are resized by a triangle
filter (`data.augment.cpu`), in the papers' code by a bicubic one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk
from chiasm.core.views import Blur, ColourJitter, Masking, Views, ViewSpec

NUM_GLOBAL = 2
"""Views of most of the picture."""
LOCAL_SHARE = 96 / 224
"""Side of a local crop as a share of that of a global one."""
SMALL_PX = 64
"""Up to this size nothing is blurred by default."""

BlurRule = Literal["usual", "inverted", "none"]
BLURS: dict[BlurRule, tuple[float, float, float]] = {
    "usual": (1.0, 0.1, 0.5),
    "inverted": (0.0, 0.9, 0.5),
    "none": (0.0, 0.0, 0.0),
}
"""Probabilities of blur in the first global view, the second and the local ones."""


class Crops(Config):
    """Which views of a picture are drawn.

    Attributes:
        num_local: small views.
        local_size_px: side of a small view; None for the paper's share of the trunk's picture (96 of 224), as a
            multiple of the patch size.
        boundary: share of the picture's area above which a view is global and below which it is local; the paper's
            0.4 is for vision transformers, 0.14 for convolutions.
        min_area: smallest share of the area that a local view shows.
        colour: strength of the colour jitter; 1 is the paper's, with 0.4, 0.4, 0.2 and 0.1.
        grey: probability that a view loses its colours.
        blur: probabilities in first, second and local views: usual is 1, 0.1, 0.5; inverted is 0, 0.9, 0.5, which
            DINOv2 was trained with by mistake; none is none. None for the method's own, and for none in pictures of up
            to 64 px.
        solarise: probability that the second view is solarised.
    """

    num_local: int = Field(default=8, ge=0)
    local_size_px: int | None = Field(default=None, gt=0)
    boundary: float = Field(default=0.4, gt=0, le=1)
    min_area: float = Field(default=0.05, gt=0, le=1)
    colour: float = Field(default=1.0, ge=0)
    grey: float = Field(default=0.2, ge=0, le=1)
    blur: BlurRule | None = None
    solarise: float = Field(default=0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Crops:
        if self.min_area > self.boundary:
            came = f"{self.min_area} and {self.boundary} came"
            raise InputError("a min_area of crops that does not exceed their boundary", came, "change one")
        return self

    def views(self, trunk: Trunk, usual_blur: BlurRule, masking: Masking | None = None) -> tuple[ViewSpec, ...]:
        """The specification of each view for a trunk.

        Args:
            trunk: tells the sizes.
            usual_blur: the method's own rule.
            masking: of the global views.
        """
        size_px = trunk.image_size
        first, second, local = BLURS[self.blur or ("none" if size_px <= SMALL_PX else usual_blur)]
        usual = ViewSpec(
            size_px=size_px,
            min_area=self.boundary,
            jitter=ColourJitter(
                brightness=0.4 * self.colour,
                contrast=0.4 * self.colour,
                saturation=0.2 * self.colour,
                hue=min(0.1 * self.colour, 0.5),
            ),
            grey=self.grey,
            blur=_blur(first),
            masking=masking,
        )
        local_px = self._local_size(trunk)
        small = {"size_px": local_px, "min_area": self.min_area, "max_area": self.boundary}
        # As many pixels wide as in a global view, not as large a share of the view.
        locals_ = usual.model_copy(update={**small, "blur": _blur(local, size_px / local_px), "masking": None})
        other = usual.model_copy(update={"blur": _blur(second), "solarise": self.solarise})
        return (usual, other, *[locals_] * self.num_local)

    def _local_size(self, trunk: Trunk) -> int:
        """A multiple of the patch size: two patches at least, and one token of the features."""
        patch = trunk.patch_size
        if self.local_size_px is not None:
            if self.local_size_px % patch:
                expected = f"a local_size_px of crops that is a multiple of the patch size, {patch}"
                raise InputError(expected, f"{self.local_size_px} came", "change it")
            return self.local_size_px
        least = max(2 * patch, trunk.stride_px)
        return max(round(LOCAL_SHARE * trunk.image_size / patch) * patch, least)


def stacked(batch: Views, trunk: Trunk) -> list[Float[Tensor, "_ C _ _"]]:
    """Global views, then local ones where there are any: each kind as one group of normalised pictures."""
    kinds: Sequence[tuple[Tensor, ...]] = (batch.images[:NUM_GLOBAL], batch.images[NUM_GLOBAL:])
    return [trunk.normalize(torch.cat(kind)) for kind in kinds if kind]


def _blur(probability: float, times_as_wide: float = 1.0) -> Blur | None:
    if not probability:
        return None
    return Blur(probability=probability, min_sigma_px=0.1 * times_as_wide, max_sigma_px=2.0 * times_as_wide)
