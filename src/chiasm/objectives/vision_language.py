"""Vectors and words at once: CLIP's loss, and a writer that learns to caption pictures and to answer about them.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.3 (the first); Yu et al., 2022, arXiv 2205.01917, section 3.2
(both on one trunk, and their weights 1 and 2); Antol et al., 2015, arXiv 1505.00468 (answers).
Differs: see `models.vision_language`; the two encoders as in `objectives._contrastive`.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.protocols import Losses, Trunk
from chiasm.core.views import TextSpec, Views
from chiasm.heads import writer as writers
from chiasm.losses.clip import clip_loss
from chiasm.losses.next_token import next_token_loss
from chiasm.objectives._contrastive import PicturesAndTexts, Sides
from chiasm.objectives.clip import ByTemperature


class Config(ByTemperature):
    """Settings, beside those of `ByTemperature`.

    Attributes:
        writer: the decoder of captions and answers; it reads the vocabulary that the text trunk reads.
        caption_weight, answer_weight: of the losses of the writer, where that of the vectors weighs 1; 0 leaves one
            out.
    """

    writer: writers.Config = writers.Config()
    caption_weight: float = Field(default=2.0, ge=0)
    answer_weight: float = Field(default=2.0, ge=0)

    @model_validator(mode="after")
    def _writes(self) -> Config:
        if not self.caption_weight and not self.answer_weight:
            raise InputError("something to write", "caption_weight and answer_weight are 0", "train with clip instead")
        return self

    def reading(self, vocab_size: int) -> Config:
        text, writer = (part.model_copy(update={"vocab_size": vocab_size}) for part in (self.text, self.writer))
        return self.model_copy(update={"text": text, "writer": writer})

    @property
    def learned(self) -> tuple[Literal["caption", "answer"], ...]:
        """What is learned to be written."""
        if not self.answer_weight:
            return ("caption",)
        return ("caption", "answer") if self.caption_weight else ("answer",)

    def around(self, trunk: Trunk, sides: Sides) -> VisionLanguage:
        return VisionLanguage(trunk, self, sides)


class VisionLanguage(PicturesAndTexts):
    """A trunk that learns from captions in two ways and from answers."""

    def __init__(self, trunk: Trunk, settings: Config, sides: Sides) -> None:
        super().__init__(trunk, settings, sides, settings.max_scale)
        self.writer = settings.writer.build(trunk.embed_dim)
        self._weights = {"caption": settings.caption_weight, "answer": settings.answer_weight}

    def texts(self) -> tuple[TextSpec, ...]:
        """A caption, and what else the writer learns from."""
        # Captions are read by both.
        length = min(self.text_trunk.context_length, self.writer.context_length)
        answers = TextSpec(what="answer", length=self.writer.context_length)
        return (TextSpec(length=length), answers) if self._weights["answer"] else (TextSpec(length=length),)

    def loss(self, pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        return clip_loss(pictures, texts, self.logit_scale.exp())

    def forward(self, batch: Views, progress: float) -> Losses:
        """The losses on pictures, a caption of each and an answer about each, all of one encoding."""
        del progress
        features = self.features(batch)
        read = [texts.cut() for texts in batch.texts]
        pictures, texts = self.projection(self.pool(features)), self.read(read[0].tokens)
        total = self.loss(pictures, texts)
        terms = dict(self.terms(total, pictures, texts))
        for (what, weight), (tokens, told) in zip(self._weights.items(), read, strict=False):
            if weight:
                written = next_token_loss(self.writer(features, tokens), tokens, told)
                total = total + weight * written
                terms[what] = written.detach()
        return Losses(total=total, embeddings=pictures.detach(), terms=terms)
