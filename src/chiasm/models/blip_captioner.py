"""BLIP that writes captions: a picture encoder and a writer that looks at all of its tokens.

Paper: Li et al., 2022, arXiv 2201.12086, sections 3.1 and 5.2.
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


class HowCaptionsRun(BaseConfig):
    """How captions begin and end; the defaults are those of the authors' captioner.

    Attributes:
        prompt: words that every caption goes on from, as in its training; they are not told with it.
        start_token: number of the token before them ([DEC]).
        end_token: number of the token that ends a caption ([SEP]).
        max_tokens: most tokens that are written, the end token counted; with the four of start and prompt the 20 of
            the authors' configuration.
        min_tokens: before so many were written no end token is; with those four the authors' 5.
        num_beams: beginnings that are kept.
    """

    prompt: str = "a picture of "
    start_token: int = Field(default=30_522, ge=0)
    end_token: int = Field(default=102, ge=0)
    max_tokens: int = Field(default=16, gt=0)
    min_tokens: int = Field(default=1, ge=0)
    num_beams: int = Field(default=3, gt=0)


class Config(HowCaptionsRun):
    """What a captioner is made of, and how its captions begin and end.

    Attributes:
        image: pictures to tokens, and to vectors.
        writer: what writes.
    """

    image: encoder.Config
    writer: med_writer.Config = med_writer.Config()

    def build(self) -> BlipCaptioner:
        """A model with random weights."""
        return BlipCaptioner(self)


class BlipCaptioner(PictureModel):
    """Pictures in, captions out."""

    tasks = (*encoder.Encoder.tasks, "caption", "describe")
    reads_text = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = config.image.build()
        self.writer = config.writer.build(self.image_encoder.trunk.embed_dim)

    @property
    def encoder(self) -> encoder.Encoder:
        return self.image_encoder

    @property
    def writing(self) -> Writing[Features]:
        return Captioning(self.image_encoder, self.writer, self.config)

    def forward(self, images: UInt8[Tensor, "B 3 H W"], tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token of captions, one a picture.

        Args:
            images: of RGB 0 to 255.
            tokens: of the captions; padding comes last.
        """
        return self.writer(tokens, self.image_encoder.features(images).tokens)


class Captioning(BlipSide, Writing[Features]):
    """The side of a BLIP that writes captions.

    Args:
        image_encoder: pictures to tokens.
        writer: tokens to captions.
        config: how these begin and end.
    """

    answers = False

    def __init__(self, image_encoder: encoder.Encoder, writer: med_writer.MedWriter, config: HowCaptionsRun) -> None:
        super().__init__(image_encoder, writer.trunk)
        self._config = config
        self._writer = writer

    def caption(self, seen: Features, tokenizer: Tokenizer, beginning: str = "") -> Draft:
        """Begin a caption of each picture.

        Raises:
            InputError: the beginning leaves no room for a caption.
        """
        config = self._config
        start = [config.start_token, *tokenizer.numbers(config.prompt), *tokenizer.numbers(beginning)]
        room = self._writer.trunk.context_length - config.max_tokens
        if len(start) > room:
            expected = f"a beginning that leaves room for {config.max_tokens} tokens of a caption, {room} tokens long"
            raise InputError(expected, f"one of {len(start)} came", "shorten it")
        shown = seen.tokens
        beginnings = torch.tensor([start], device=shown.device).expand(len(shown), -1)
        stops = Stops((config.end_token,), config.max_tokens, config.min_tokens)
        return Draft(self._writer.begin(shown), beginnings, stops, config.num_beams)

    def answer(self, seen: Features, tokenizer: Tokenizer, questions: Sequence[str]) -> Draft:
        """Never: it was not made to.

        Raises:
            InputError: always.
        """
        raise InputError("a model that answers questions", "this one writes captions", "choose another model")
