"""SigLIP: of every pair of a picture and a text, tell whether they belong together.

Paper: Zhai, Mustafa, Kolesnikov, Beyer, "Sigmoid Loss for Language Image Pre-Training", 2023, arXiv 2303.15343,
section 3.
Differs: trunks are small unless asked for; locked-image tuning and crops as in `objectives._contrastive`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.protocols import Trunk
from chiasm.heads.text_pool import ByLastPlace
from chiasm.losses.siglip import siglip_loss
from chiasm.objectives._contrastive import Contrastive, PicturesAndTexts, Sides
from chiasm.trunks import text as text_trunks


class Config(Contrastive):
    """Settings of SigLIP; those that it shares with CLIP are described in `Contrastive`.

    Attributes:
        scale: what cosines are multiplied by at first; it is learned.
        bias: what is added after that at first; near the logarithm of one right pair among those of a batch.
    """

    scale: float = Field(default=10.0, gt=0)
    bias: float = -10.0

    @property
    def reading_by(self) -> ByLastPlace:
        return ByLastPlace()

    @property
    def first_scale(self) -> float:
        return self.scale

    @property
    def plain_text(self) -> text_trunks.Config:
        return super().plain_text.model_copy(update={"looks_back": False})

    def around(self, trunk: Trunk, sides: Sides) -> Siglip:
        return Siglip(trunk, self, sides)


class Siglip(PicturesAndTexts):
    """Learns by one binary question for each pair; tokens of a text see all others, padding too."""

    def __init__(self, trunk: Trunk, settings: Config, sides: Sides) -> None:
        super().__init__(trunk, settings, sides)
        self.logit_bias = nn.Parameter(torch.tensor(settings.bias if sides.bias is None else sides.bias))

    def loss(self, pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        return siglip_loss(pictures, texts, self.logit_scale.exp(), self.logit_bias)
