"""Multi-head attention of a few queries to tokens that are not their own.

Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.2.3.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from chiasm.layers.arrangement import Attend
from chiasm.layers.attention import Looking, attend


class Shown(NamedTuple):
    """Tokens as one cross-attention sees them, computed once for all that look at them.

    Attributes:
        key, value: of all heads.
        seen: which tokens may be looked at; None for all.
    """

    key: Float[Tensor, "B A N D"]
    value: Float[Tensor, "B A N D"]
    seen: Bool[Tensor, "B 1 #Q N"] | None = None

    def of(self, rows: Int64[Tensor, " _"]) -> Shown:
        """Those of some rows of the batch, in their order."""
        return Shown(self.key[rows], self.value[rows], None if self.seen is None else self.seen[rows])


class CrossAttention(Looking):
    """Queries look at tokens.

    Args:
        num_heads: heads, each as wide as the queries' map divided by their number.
        query: of the tokens that look.
        key_value: of the tokens that are looked at, to keys and values, one after the other, all heads in each.
        projection: the joined heads to tokens.
        look: how it is computed.
    """

    def __init__(
        self, num_heads: int, query: nn.Linear, key_value: nn.Linear, projection: nn.Linear, look: Attend = attend
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.look = look
        self.query = query
        self.key_value = key_value
        self.projection = projection

    def forward(self, queries: Float[Tensor, "B Q D"], tokens: Float[Tensor, "B N _"]) -> Float[Tensor, "B Q _"]:
        """What each query makes of the tokens."""
        return self.look_at(queries, self.show(tokens))

    def show(self, tokens: Float[Tensor, "B N _"], seen: Bool[Tensor, "B 1 #Q N"] | None = None) -> Shown:
        """Keys and values of tokens.

        Args:
            tokens: what is looked at.
            seen: which of them each query may look at; None for all.
        """
        key, value = self.key_value(tokens).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return Shown(key, value, seen)

    def look_at(self, queries: Float[Tensor, "B Q D"], shown: Shown) -> Float[Tensor, "B Q _"]:
        """What each query makes of tokens that were shown before."""
        query = self.query(queries).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        return self.projection(self.look(query, *shown).transpose(1, 2).flatten(2))
