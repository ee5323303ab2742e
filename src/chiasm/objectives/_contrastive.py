"""What CLIP and SigLIP have in common: a trunk and a text encoder that learn to give a picture and its text one vector.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.3; Zhai et al., "LiT: Zero-Shot Transfer with Locked-image text
Tuning", 2021, arXiv 2111.07991, section 3.2 (a trained trunk stays as it is, the text encoder learns to read it).
Differs: a picture's crop covers most of it and is never mirrored, since captions say where things are; a locked trunk
is followed by a linear map that learns, as in the paper's section 5.3 where widths differ.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.features import Features
from chiasm.core.protocols import Losses, TextTrunk, Trunk
from chiasm.core.views import Phrasing, TextSpec, Views
from chiasm.heads.text_pool import AnyTextPool, TextPool
from chiasm.objectives._captioned import Captioned, FromCaptions
from chiasm.objectives._matches import share_matched
from chiasm.trunks import text as text_trunks


class SmallText(text_trunks.Config):
    """A text trunk for vocabularies and data of one's own; settings as in `trunks.text`."""

    vocab_size: int = Field(default=4096, gt=0)
    context_length: int = Field(default=64, gt=1)
    embed_dim: int = Field(default=256, gt=0)
    depth: int = Field(default=4, gt=0)
    num_heads: int = Field(default=4, gt=0)

    def plain(self) -> text_trunks.Config:
        """The same as settings of the family, as a model keeps them."""
        return text_trunks.Config.model_validate(self.model_dump(exclude={"family"}))


@dataclass(frozen=True, slots=True)
class Sides:
    """What makes vectors of one space, of the tokens of a picture and of texts.

    Attributes:
        pool, projection: of a picture's tokens.
        text_trunk, text_pool, text_projection: of the tokens of a text.
        scale: what cosines are multiplied by at first.
        bias: what is added after that at first; None for whatever the method begins with.
        phrases: how texts are put, as in `core.views.TextSpec`.
    """

    pool: nn.Module
    projection: nn.Module
    text_trunk: TextTrunk
    text_pool: TextPool
    text_projection: nn.Module
    scale: float
    bias: float | None = None
    phrases: Phrasing = "marked"


class Contrastive(Captioned):
    """What both have as settings, beside those of `Captioned`.

    Attributes:
        text: the text trunk; as many tokens as the recipe's vocabulary has.
        locked: whether the trunk stays as it is and only texts, and a linear map of the pictures, learn (LiT).
    """

    text: SmallText = SmallText()
    locked: bool = False

    @property
    def most_tokens(self) -> int:
        return self.text.vocab_size

    @property
    def plain_text(self) -> text_trunks.Config:
        """Settings of the text trunk, as a model keeps them."""
        return self.text.plain()

    @property
    def reading_by(self) -> AnyTextPool:
        """Which token stands for a text."""
        raise TypeError(f"{type(self).__name__} must say which token stands for a text")

    @property
    def first_scale(self) -> float:
        """What cosines are multiplied by at first."""
        raise TypeError(f"{type(self).__name__} must say what it multiplies cosines by")

    def reading(self, vocab_size: int) -> Contrastive:
        return self.model_copy(update={"text": self.text.model_copy(update={"vocab_size": vocab_size})})

    def sides(self, trunk: Trunk) -> Sides:
        """New ones around a trunk of pictures, with random weights."""
        pool = self.pool.build(trunk.embed_dim)
        projection = nn.Linear(pool.out_dim, self.embed_dim, bias=False)
        nn.init.normal_(projection.weight, std=pool.out_dim**-0.5)
        text_trunk = self.plain_text.build()
        return Sides(
            pool=pool,
            projection=projection,
            text_trunk=text_trunk,
            text_pool=self.reading_by.build(),
            text_projection=nn.Linear(text_trunk.embed_dim, self.embed_dim, bias=False),
            scale=self.first_scale,
        )

    def build(self, trunk: Trunk) -> PicturesAndTexts:
        """Wire the objective around a trunk, everything else new."""
        return self.around(trunk, self.sides(trunk))

    def around(self, trunk: Trunk, sides: Sides) -> PicturesAndTexts:
        """Wire the objective around a trunk and sides that are there."""
        raise TypeError(f"{type(self).__name__} must say what it builds")


class PicturesAndTexts(FromCaptions):
    """Both encoders and the scale of their cosines.

    Args:
        trunk: of the pictures.
        settings: of the method.
        sides: what is around the trunk.
        max_scale: cosines are never multiplied by more.
    """

    def __init__(self, trunk: Trunk, settings: Contrastive, sides: Sides, max_scale: float = math.inf) -> None:
        super().__init__(trunk, settings.min_area, sides.text_trunk.context_length, sides.scale, max_scale)
        trunk.requires_grad_(not settings.locked)
        self.pool = sides.pool
        self.projection = sides.projection
        self.text_trunk = sides.text_trunk
        self.text_pool = sides.text_pool
        self.text_projection = sides.text_projection
        self.settings = settings
        self._phrases: Phrasing = sides.phrases

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pool

    def train(self, mode: bool = True) -> PicturesAndTexts:
        """Paths are dropped in training, but not of a trunk that stays as it is."""
        super().train(mode)
        self.trunk.train(mode and not self.settings.locked)
        return self

    def texts(self) -> tuple[TextSpec, ...]:
        """One caption."""
        return (TextSpec(length=self.text_trunk.context_length, phrases=self._phrases),)

    @abstractmethod
    def loss(self, pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        """How badly pictures and their texts find each other."""

    def forward(self, batch: Views, progress: float) -> Losses:
        """The loss on pictures and one caption of each."""
        del progress
        # What tokens fill up says nothing to those before them; where tokens see all others it does.
        read = batch.texts[0].cut() if self.text_trunk.looks_back else batch.texts[0]
        pictures, texts = self.projection(self.pool(self.features(batch))), self.read(read.tokens)
        loss = self.loss(pictures, texts)
        return Losses(total=loss, embeddings=pictures.detach(), terms=self.terms(loss, pictures, texts))

    def features(self, batch: Views) -> Features:
        """All tokens of the pictures."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.settings.locked):
            return self.trunk(self.trunk.normalize(batch.images[0]))

    def read(self, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B E"]:
        """One vector a text."""
        return self.text_projection(self.text_pool(self.text_trunk(tokens), tokens))

    def terms(
        self, loss: Float[Tensor, ""], pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"]
    ) -> Mapping[str, Float[Tensor, ""]]:
        """What is worth a log line."""
        return {
            "contrastive": loss.detach(),
            "match": share_matched(pictures, texts),
            "logit_scale": self.logit_scale.detach().exp(),
        }
