"""BLIP that answers questions: the question is read while the picture is looked at, the answer written from that.

Paper: Li et al., 2022, arXiv 2201.12086, section 5.3 and figure 4a.
Differs: questions of different lengths in one batch are answered as each alone would be; the authors' code, and
transformers, let the answer look at the padding of the shorter ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field
from torch import Tensor

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.data.tokenizer import Tokenizer
from chiasm.heads import med_writer
from chiasm.models import encoder
from chiasm.models._blip import BlipSide
from chiasm.models._writing import Draft, Writing
from chiasm.models.encoder import PictureModel
from chiasm.ops.writing import Stops
from chiasm.trunks import med


class Config(BaseConfig):
    """What an answerer is made of.

    Attributes:
        image: pictures to tokens, and to vectors.
        reader: of questions.
        writer: of answers.
        question_token: number of the token that takes the place of a question's first one: [ENC], 30523, in the
            authors' code; None to leave [CLS] there, as transformers does with the same weights.
        start_token: number of the token that an answer starts from ([DEC]).
        end_token: number of the token that ends it ([SEP]).
        max_tokens: most tokens that are written, the end token counted; with the first one the authors' 10.
        num_beams: beginnings that are kept.
    """

    image: encoder.Config
    reader: med.Settings = med.Settings()
    writer: med_writer.Config = med_writer.Config()
    question_token: int | None = Field(default=None, ge=0)
    start_token: int = Field(default=30_522, ge=0)
    end_token: int = Field(default=102, ge=0)
    max_tokens: int = Field(default=9, gt=0)
    num_beams: int = Field(default=3, gt=0)

    def build(self) -> BlipAnswerer:
        """A model with random weights."""
        return BlipAnswerer(self)


class BlipAnswerer(PictureModel):
    """Pictures and questions in, answers out."""

    tasks = (*encoder.Encoder.tasks, "ask")
    reads_text = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = config.image.build()
        self.reader = config.reader.trunk(self.image_encoder.trunk.embed_dim, looks_back=False)
        self.writer = config.writer.build(self.reader.embed_dim)

    @property
    def encoder(self) -> encoder.Encoder:
        return self.image_encoder

    @property
    def writing(self) -> Writing[Features]:
        return _Answering(self)

    def forward(
        self, images: UInt8[Tensor, "B 3 H W"], questions: Int64[Tensor, "B T"], answers: Int64[Tensor, "B Q"]
    ) -> Float[Tensor, "B Q V"]:
        """Logits of the token after each token of answers, one question and one answer a picture.

        Args:
            images: of RGB 0 to 255.
            questions: their tokens; padding comes last.
            answers: their tokens; padding comes last.
        """
        read = self.read(self.image_encoder.features(images), questions)
        return self.writer(answers, read, self.reader.real(questions))

    def read(self, features: Features, questions: Int64[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """What is made of questions while pictures are looked at, one question a picture.

        Args:
            features: of the pictures.
            questions: their tokens; padding comes last.
        """
        return self.reader(questions, self.reader.show(features.tokens))


class _Answering(BlipSide, Writing[Features]):
    """An answerer's writing."""

    captions = False
    answers = True

    def __init__(self, model: BlipAnswerer) -> None:
        super().__init__(model.image_encoder, model.reader)
        self._model = model

    def caption(self, seen: Features, tokenizer: Tokenizer, beginning: str = "") -> Draft:
        """Never: it was not made to.

        Raises:
            InputError: always.
        """
        raise InputError("a model that writes captions", "this one answers questions", "choose another model")

    def answer(self, seen: Features, tokenizer: Tokenizer, questions: Sequence[str]) -> Draft:
        """Begin an answer to a question about each picture; questions may be of any lengths."""
        model, config = self._model, self._model.config
        tokens = self.tokens(tokenizer, questions, config.question_token, seen.patches.device)
        step = model.writer.begin(model.read(seen, tokens), model.reader.real(tokens))
        beginnings = torch.full((len(tokens), 1), config.start_token, device=tokens.device)
        return Draft(step, beginnings, Stops((config.end_token,), config.max_tokens), config.num_beams)
