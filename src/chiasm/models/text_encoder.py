"""A text encoder: trunk, pooling and, where there is one, a projection: one vector a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.core.protocols import Model
from chiasm.data import tokenizer as tokenizers
from chiasm.heads.text_pool import AnyTextPool, ByHighestToken
from chiasm.layers.memory import Memory
from chiasm.trunks import AnyTextTrunk


class Config(BaseConfig):
    """What a text encoder is made of.

    Attributes:
        trunk: family and settings of the trunk.
        pool: which token stands for the text: end_token, highest_token (default), first_place, last_place or
            class_token.
        projection: width of the space that a linear map takes the vector to; None for no map.
        projection_bias: whether the map has a bias (SigLIP).
        tokenizer: how texts become tokens, beside the vocabulary.
    """

    trunk: AnyTextTrunk
    pool: AnyTextPool = ByHighestToken()
    projection: int | None = Field(default=None, gt=0)
    projection_bias: bool = False
    tokenizer: tokenizers.Config = tokenizers.Config()

    def build(self) -> TextEncoder:
        """An encoder with random weights."""
        return TextEncoder(self)


class TextEncoder(Model):
    """Tokens in, vectors out."""

    tasks = ()
    reads_text = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self._tokenizing = config.tokenizer
        self.trunk = config.trunk.build()
        self.pool = config.pool.build()
        width = self.trunk.embed_dim
        self.embed_dim = config.projection or width
        self.projection = nn.Identity()
        if config.projection:
            self.projection = nn.Linear(width, config.projection, bias=config.projection_bias)

    def tokenizer(self, vocabulary: str) -> tokenizers.Tokenizer:
        """What turns texts into this encoder's tokens.

        Args:
            vocabulary: JSON text of a tokenizer.

        Raises:
            InputError: it cannot be read.
        """
        return self._tokenizing.build(vocabulary, self.trunk.context_length)

    def lengths(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        """How many tokens of each text its vector depends on; the others need not be computed."""
        return self.trunk.lengths(tokens, self.pool.places(tokens))

    def forward(self, tokens: Int64[Tensor, "B T"], num_shared: int = 0) -> Float[Tensor, "B D"]:
        """Vectors of texts, of any length, in the precision of the weights.

        Args:
            tokens: of the texts.
            num_shared: first tokens that are the same in all texts and are computed once, fewer than any vector depends
                on; above 0 only for a trunk that looks back.
        """
        if num_shared == 0:
            return self.projection(self.pool(self.trunk(tokens), tokens))
        memory = Memory()
        self.trunk(tokens[:1, :num_shared], memory.after(num_shared))
        memory.choose(tokens.new_zeros(len(tokens)))
        vectors = self.trunk(tokens[:, num_shared:], memory.after(tokens.shape[1] - num_shared))
        # Nobody asks for the vectors of the shared tokens; their places keep the others where the pool looks for them.
        shared = vectors.new_zeros(len(tokens), num_shared, vectors.shape[2])
        return self.projection(self.pool(torch.cat([shared, vectors], dim=1), tokens))


@dataclass(frozen=True, slots=True)
class Texts:
    """The side of a model that reads text.

    Attributes:
        encoder: tokens to vectors in the space of its pictures.
        logit_scale: what a cosine is multiplied by.
        logit_bias: what is added after that; None for a model trained with a softmax.
    """

    encoder: TextEncoder
    logit_scale: float
    logit_bias: float | None


@dataclass(frozen=True, slots=True)
class TextParts:
    """What reads text, opened up for whoever learns through it.

    Attributes:
        encoder: tokens to vectors.
        tokenizer: texts to tokens.
        device: where the encoder lies.
    """

    encoder: TextEncoder
    tokenizer: tokenizers.Tokenizer
    device: torch.device


@runtime_checkable
class OpenText(Protocol):
    """A `core.predictors.TextEncoder` that can be learned through."""

    @property
    def parts(self) -> TextParts:
        """What it is made of.

        Raises:
            InputError: the tokenizer is missing or does not fit.
        """
        ...
