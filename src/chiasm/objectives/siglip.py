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
from chiasm.objectives._contrastive import Contrastive, PicturesAndTexts


class Config(Contrastive):
    """Settings of SigLIP; those that it shares with CLIP are described in `Contrastive`.

    Attributes:
        scale: what cosines are multiplied by at first; it is learned.
        bias: what is added after that at first; near the logarithm of one right pair among those of a batch.
    """

    scale: float = Field(default=10.0, gt=0)
    bias: float = -10.0

    def build(self, trunk: Trunk) -> Siglip:
        """Wire the objective around a trunk."""
        return Siglip(trunk, self)


class Siglip(PicturesAndTexts):
    """Learns by one binary question for each pair; tokens of a text see all others, padding too."""

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        text = settings.text.model_copy(update={"looks_back": False})
        super().__init__(trunk, settings.model_copy(update={"text": text}), ByLastPlace(), settings.scale)
        self.logit_bias = nn.Parameter(torch.tensor(settings.bias))

    def loss(self, pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        return siglip_loss(pictures, texts, self.logit_scale.exp(), self.logit_bias)
