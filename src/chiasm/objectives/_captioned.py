"""What objectives have in common that learn from captions: settings, how they see a picture, the scale of cosines.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4 (a square cut at random is all that pictures go through).
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn

from chiasm.core.protocols import Objective, ObjectiveConfig, Trunk
from chiasm.core.views import TextSpec, ViewSpec
from chiasm.heads import pool as pools


class Captioned(ObjectiveConfig):
    """What all have as settings, beside `text`, whose vocabulary a recipe learns.

    Attributes:
        embed_dim: width of the space that pictures and texts share.
        min_area: smallest share of the picture that is seen.
        pool: how a picture's tokens become one vector.
    """

    embed_dim: int = Field(default=256, gt=0)
    min_area: float = Field(default=0.8, gt=0, le=1)
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    @property
    def most_tokens(self) -> int:
        """Most tokens of the vocabulary."""
        raise TypeError(f"{type(self).__name__} must say how large its vocabulary may be")

    def reading(self, vocab_size: int) -> Captioned:
        """The same for another vocabulary."""
        raise TypeError(f"{type(self).__name__} must say what reads its vocabulary")


class FromCaptions(Objective):
    """Sees most of each picture and one caption of it; the scale of their cosines is learned.

    Args:
        trunk: of the pictures.
        min_area: smallest share of the picture that is seen.
        context_length: most tokens of a caption.
        scale: what cosines are multiplied by at first.
        max_scale: they are never multiplied by more.
    """

    def __init__(
        self, trunk: Trunk, min_area: float, context_length: int, scale: float, max_scale: float = math.inf
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.logit_scale = nn.Parameter(torch.tensor(scale).log())
        self._view = nearly_all(trunk.image_size, min_area)
        self._caption = TextSpec(what="caption", length=context_length)
        self._max_log_scale = math.log(max_scale)

    def views(self) -> tuple[ViewSpec, ...]:
        """Most of the picture, as it is."""
        return (self._view,)

    def texts(self) -> tuple[TextSpec, ...]:
        """One caption."""
        return (self._caption,)

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Keep the scale from running away (CLIP, section 2.5)."""
        del progress
        self.logit_scale.clamp_(max=self._max_log_scale)


def nearly_all(size_px: int, min_area: float) -> ViewSpec:
    """A view of most of a picture, neither mirrored nor recoloured: captions tell places and colours.

    Args:
        size_px: side of the view.
        min_area: smallest share of the picture that is seen.
    """
    return ViewSpec(size_px=size_px, min_area=min_area, flip=0.0, jitter=None, grey=0.0, blur=None)
