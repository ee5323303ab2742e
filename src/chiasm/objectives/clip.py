"""CLIP: a picture should find its caption among all captions of the batch, and the caption its picture.

Paper: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv 2103.00020,
sections 2.3 to 2.5.
Differs: trunks are small unless asked for; locked-image tuning and crops as in `objectives._contrastive`.
"""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from chiasm.core.marks import END, MARKS
from chiasm.core.protocols import Trunk
from chiasm.heads.text_pool import ByEndToken
from chiasm.losses.clip import clip_loss
from chiasm.objectives._contrastive import Contrastive, PicturesAndTexts, Sides


class ByTemperature(Contrastive):
    """Settings of whatever learns by this loss; those that are shared with SigLIP are described in `Contrastive`.

    Attributes:
        temperature: what cosines are divided by at first; it is learned.
        max_scale: cosines are never multiplied by more.
    """

    temperature: float = Field(default=0.07, gt=0)
    max_scale: float = Field(default=100.0, gt=1)

    @property
    def reading_by(self) -> ByEndToken:
        return ByEndToken(end_token=MARKS.index(END))

    @property
    def first_scale(self) -> float:
        return 1 / self.temperature


class Config(ByTemperature):
    """Settings of CLIP."""

    def around(self, trunk: Trunk, sides: Sides) -> Clip:
        return Clip(trunk, self, sides, self.max_scale)


class Clip(PicturesAndTexts):
    """Learns by the cross entropies over a batch."""

    def loss(self, pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        return clip_loss(pictures, texts, self.logit_scale.exp())
