"""One trunk tied to language in two ways: vectors that pictures and texts share, and a writer of captions and answers.

A picture is encoded once; its vector, its captions and its answers are all made of the same tokens.

Paper: Yu et al., "CoCa: Contrastive Captioners are Image-Text Foundation Models", 2022, arXiv 2205.01917, section 3
(both on one trunk).
Differs: the writer does not read what the text encoder makes of a text, so that either can be left out or replaced; it
sees all tokens of the picture, not a pooled few; answers are written as captions are, after their question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field
from torch import Tensor

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.core.marks import END, MARKS
from chiasm.data import tokenizer as tokenizers
from chiasm.data.phrases import MARKED
from chiasm.data.tokenizer import Tokenizer
from chiasm.heads import writer as writers
from chiasm.models import dual_encoder, encoder, text_encoder
from chiasm.models._writing import Draft, Writing
from chiasm.models.encoder import PictureModel
from chiasm.ops.writing import Stops

_TASKS = {"caption": ("caption", "describe"), "answer": ("ask",)}


class Config(BaseConfig):
    """What the model is made of.

    Attributes:
        image: pictures to vectors.
        text: texts to vectors of the same width.
        writer: pictures' tokens to texts.
        learned: what it learned to write.
        logit_scale: what the logarithm of the scale of the cosines begins at.
    """

    image: encoder.Config
    text: text_encoder.Config
    writer: writers.Config
    learned: tuple[Literal["caption", "answer"], ...] = Field(default=("caption", "answer"), min_length=1)
    logit_scale: float = Field(default=math.log(1 / 0.07))

    def build(self) -> VisionLanguage:
        """A model with random weights."""
        return VisionLanguage(self)


class VisionLanguage(PictureModel):
    """Pictures and texts to vectors, pictures to texts."""

    reads_text = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.tasks = (*dual_encoder.DualEncoder.tasks, *(task for one in config.learned for task in _TASKS[one]))
        both = dual_encoder.Config(image=config.image, text=config.text, logit_scale=config.logit_scale)
        self.both = both.build()
        self.writer = config.writer.build(self.both.image_encoder.trunk.embed_dim)

    @property
    def encoder(self) -> encoder.Encoder:
        return self.both.encoder

    @property
    def texts(self) -> text_encoder.Texts:
        return self.both.texts

    @property
    def writing(self) -> PictureWriting:
        return PictureWriting(self.encoder, self.writer, self.config.learned)


class PictureWriting(Writing[Features]):
    """Captions and answers by one writer.

    Args:
        pictures: what sees.
        writes: what writes.
        learned: what it learned to write.
    """

    gives_vectors = True

    def __init__(self, pictures: encoder.Encoder, writes: writers.Writer, learned: Sequence[str]) -> None:
        self.captions, self.answers = "caption" in learned, "answer" in learned
        self._pictures = pictures
        self._writes = writes

    def tokenizer(self, vocabulary: str) -> Tokenizer:
        return tokenizers.Config().build(vocabulary, self._writes.context_length)

    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> Features:
        return self._pictures.features(images)

    def some(self, seen: Features, rows: Int64[Tensor, " _"]) -> Features:
        return seen.of(rows)

    def vectors(self, seen: Features) -> Float[Tensor, "B D"]:
        return self._pictures.vectors(seen)

    def caption(self, seen: Features, tokenizer: Tokenizer, beginning: str = "") -> Draft:
        return self._draft(seen, [MARKED.caption(tokenizer) + MARKED.words(tokenizer, beginning)] * len(seen.patches))

    def answer(self, seen: Features, tokenizer: Tokenizer, questions: Sequence[str]) -> Draft:
        return self._draft(seen, [MARKED.answer(tokenizer, question) for question in questions])

    def _draft(self, seen: Features, beginnings: Sequence[Sequence[int]]) -> Draft:
        tokens = torch.tensor(beginnings, dtype=torch.int64, device=seen.patches.device)
        places = self._writes.context_length
        room, least = places - tokens.shape[1], min(_LEAST_ROOM, places // 2)
        if room < least:
            came = f"one of {tokens.shape[1]} came"
            raise InputError(f"a question or a beginning of at most {places - least} tokens", came, "shorten it")
        stops = Stops(end=(MARKS.index(END),), max_tokens=room, banned=_UNWRITTEN)
        return Draft(self._writes.begin(seen), tokens, stops, room=room)


_LEAST_ROOM = 8
"""Tokens that are left for what is written, where the writer has twice as many places."""
_UNWRITTEN = tuple(number for number, mark in enumerate(MARKS) if mark != END)
