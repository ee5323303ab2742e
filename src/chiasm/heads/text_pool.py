"""Vectors of the tokens of a text into one: of the end token, of the first or the last place, or of a class token.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4 (end token); Devlin et al., 2018, arXiv 1810.04805, section 3
(first place); Zhai et al., 2023, arXiv 2303.15343, section 3 (last place, where padding stands unless the text is
long); Yu et al., 2022, arXiv 2205.01917, section 3.2 (a class token after the text).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config as BaseConfig


class TextPool(nn.Module, ABC):
    """Base of all kinds."""

    @abstractmethod
    def places(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        """Which token's vector stands for each text."""

    def forward(self, vectors: Float[Tensor, "B _ D"], tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B D"]:
        """One vector per text.

        Args:
            vectors: of the tokens, and of those that the trunk has put after them.
            tokens: their numbers.
        """
        return vectors[torch.arange(len(tokens), device=tokens.device), self.places(tokens)]


class EndToken(TextPool):
    """The first end token; the first token of a text that has none.

    Args:
        end_token: its number.
    """

    def __init__(self, end_token: int) -> None:
        super().__init__()
        self.end_token = end_token

    def places(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        return (tokens == self.end_token).int().argmax(dim=1)


class HighestToken(TextPool):
    """The first of the tokens with the highest number, which the end token of CLIP's own vocabulary is."""

    def places(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        return tokens.argmax(dim=1)


class FirstPlace(TextPool):
    """The token that stands before the text."""

    def places(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        return torch.zeros_like(tokens[:, 0])


class LastPlace(TextPool):
    """Whatever stands in the last place."""

    def places(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        return torch.full_like(tokens[:, 0], tokens.shape[1] - 1)


class ClassToken(TextPool):
    """The class token that the trunk has put after the tokens (`trunks.text_with_class`)."""

    def places(self, tokens: Int64[Tensor, "B T"]) -> Int64[Tensor, " B"]:
        return torch.full_like(tokens[:, 0], tokens.shape[1])


class ByEndToken(BaseConfig):
    """Settings of `EndToken`.

    Attributes:
        end_token: its number.
    """

    kind: Literal["end_token"] = "end_token"
    end_token: int = Field(ge=0)

    def build(self) -> TextPool:
        return EndToken(self.end_token)


class ByHighestToken(BaseConfig):
    """Settings of `HighestToken`."""

    kind: Literal["highest_token"] = "highest_token"

    def build(self) -> TextPool:
        return HighestToken()


class ByFirstPlace(BaseConfig):
    """Settings of `FirstPlace`."""

    kind: Literal["first_place"] = "first_place"

    def build(self) -> TextPool:
        return FirstPlace()


class ByLastPlace(BaseConfig):
    """Settings of `LastPlace`."""

    kind: Literal["last_place"] = "last_place"

    def build(self) -> TextPool:
        return LastPlace()


class ByClassToken(BaseConfig):
    """Settings of `ClassToken`."""

    kind: Literal["class_token"] = "class_token"

    def build(self) -> TextPool:
        return ClassToken()


AnyTextPool = Annotated[
    ByEndToken | ByHighestToken | ByFirstPlace | ByLastPlace | ByClassToken,
    Field(discriminator="kind"),
    usually("highest_token"),
]
"""A field that holds the settings of any kind."""
