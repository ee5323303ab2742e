"""How a language model learns where its tokens are: rotary angles on a part of each head, or a bias that falls with
the distance.

Both depend on distances alone and hold no weights. A kind answers two questions: how tokens look back (`look`), and by
which angles queries and keys are turned first (`rotation`).

Paper: Su et al., 2021, arXiv 2104.09864, section 3.2 (rotary), on a part of the head: Black et al., 2022, arXiv
2204.06745, section 2.1; Press et al., 2021, arXiv 2108.12409, section 3 (ALiBi: linear biases).
Differs: rotary angles are computed in float32 at least and never stored. The numbers of a head that turn stand in the
first and second half of the head, as `ops.positions.rotate` pairs them, not at its beginning; layouts move the weights,
and products of queries and keys do not change. Where heads are no power of two, the slopes of ALiBi are the published
ones of MPT: those of the next power, every second one first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.layers.arrangement import Attend
from chiasm.layers.attention import attend_back
from chiasm.layers.positions import Rotation
from chiasm.ops.positions import distance_slopes, text_angles


class TextPositions(ABC):
    """Base of all kinds.

    Attributes:
        look: how tokens look at themselves and those before them.
    """

    look: Attend

    @abstractmethod
    def rotation(self, first: int, num_tokens: int, like: Tensor) -> Rotation | None:
        """How queries and keys are turned; None for not at all.

        Args:
            first: place of the first token.
            num_tokens: how many there are.
            like: a tensor of the precision and on the device of the tokens.
        """


class RotaryText(TextPositions):
    """Turns a part of each head by angles that grow with the place.

    Args:
        head_dim: width of a head.
        num_turned: numbers of each head that are turned; even.
        theta: base of the periods.
    """

    def __init__(self, head_dim: int, num_turned: int, theta: float) -> None:
        self.look = attend_back
        self.head_dim = head_dim
        self.num_turned = num_turned
        self.theta = theta

    def rotation(self, first: int, num_tokens: int, like: Tensor) -> Rotation:
        dtype = torch.promote_types(like.dtype, torch.float32)
        places = torch.arange(first, first + num_tokens, dtype=dtype, device=like.device)
        angles = text_angles(places, self.num_turned, self.theta)
        return Rotation.of(functional.pad(angles, (0, (self.head_dim - self.num_turned) // 2)))


class DistanceBias(TextPositions):
    """Lowers the score of every token by its distance, in each head by another factor.

    Args:
        num_heads: of the attention.
        max_bias: exponent of the smallest factor, as a power of one half.
    """

    def __init__(self, num_heads: int, max_bias: float) -> None:
        self.num_heads = num_heads
        self.max_bias = max_bias
        self.look = self._look

    def rotation(self, first: int, num_tokens: int, like: Tensor) -> None:
        del first, num_tokens, like

    def _look(
        self,
        query: Float[Tensor, "B A Q D"],
        key: Float[Tensor, "B A N D"],
        value: Float[Tensor, "B A N D"],
        seen: Bool[Tensor, "B 1 #Q N"] | None = None,
    ) -> Float[Tensor, "B A Q D"]:
        num_queries, length = query.shape[-2], key.shape[-2]
        places = torch.arange(length, device=query.device)
        distances = places[length - num_queries :, None] - places
        slopes = distance_slopes(self.num_heads, self.max_bias, like=query)
        biases = -slopes.view(-1, 1, 1) * distances
        hidden = distances < 0 if seen is None else (distances < 0) | ~seen
        return functional.scaled_dot_product_attention(query, key, value, biases.masked_fill(hidden, -torch.inf))


class Rotary(Config):
    """Settings of `RotaryText`.

    Attributes:
        share: of each head that is turned.
        theta: base of the periods.
    """

    kind: Literal["rotary"] = "rotary"
    share: float = Field(default=1.0, gt=0, le=1)
    theta: float = Field(default=10_000.0, gt=1)

    def build(self, embed_dim: int, num_heads: int) -> RotaryText:
        """Make the positions.

        Raises:
            InputError: the width of a head, or of the part of it that is turned, is odd.
        """
        head_dim = embed_dim // num_heads
        num_turned = int(head_dim * self.share)
        if head_dim % 2 or num_turned % 2 or not num_turned:
            came = f"heads are {head_dim} wide and {num_turned} of it would be turned"
            raise InputError("an even number of each head to turn, and even heads", came, "change num_heads or share")
        return RotaryText(head_dim, num_turned, self.theta)


class Alibi(Config):
    """Settings of `DistanceBias`.

    Attributes:
        max_bias: exponent of the smallest factor, as a power of one half.
    """

    kind: Literal["alibi"] = "alibi"
    max_bias: float = Field(default=8.0, gt=0)

    def build(self, embed_dim: int, num_heads: int) -> DistanceBias:
        del embed_dim
        return DistanceBias(num_heads, self.max_bias)


AnyTextPositions = Annotated[Rotary | Alibi, Field(discriminator="kind"), usually("rotary")]
