"""Features into one vector per picture: what learned queries see in all tokens.

Paper: Zhai et al., 2021, arXiv 2106.04560, section 3.4 (one query), as in SigLIP; Yu et al., 2022, arXiv 2205.01917,
section 3.2 (many queries), as in CoCa.
Differs: the paper of CoCa gives the vector and the tokens for a decoder a pooler each; here, as in open_clip's code and
weights, one pooler gives both, its first query the vector and the others the tokens.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.heads._pool import Pool
from chiasm.layers.cross_attention import CrossAttention
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.mlp import AnyMlp, GeluMlp


class AttentionPool(Pool):
    """What a learned query sees in all tokens, and a feed-forward part after it.

    Args:
        embed_dim: width of the tokens.
        num_heads: of the attention.
        mlp: the feed-forward part.
        norm_eps: of the norm before it.
    """

    def __init__(self, embed_dim: int, num_heads: int, mlp: nn.Module, norm_eps: float) -> None:
        super().__init__(embed_dim)
        self.probe = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, embed_dim), std=0.02))
        self.attention = CrossAttention(
            num_heads,
            query=nn.Linear(embed_dim, embed_dim),
            key_value=nn.Linear(embed_dim, 2 * embed_dim),
            projection=nn.Linear(embed_dim, embed_dim),
        )
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.mlp = mlp
        initialise(self, Normal())

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        tokens = features.tokens
        seen = self.attention(self.probe.expand(len(tokens), -1, -1), tokens)
        return (seen + self.mlp(self.norm(seen))).squeeze(1)


class QueriesPool(Pool):
    """What each of many learned queries sees in all tokens; the vector is that of the first.

    Args:
        embed_dim: width of the trunk's tokens.
        out_dim: width of the queries and of what they see.
        num_queries: how many.
        num_heads: of the attention.
        norm_eps: of the norms before it, of queries and of tokens.
        last_norm_eps: of the norm after it.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        out_dim: int,
        num_queries: int,
        num_heads: int,
        norm_eps: float,
        last_norm_eps: float,
    ) -> None:
        super().__init__(out_dim)
        self.queries = nn.Parameter(nn.init.trunc_normal_(torch.empty(num_queries, out_dim), std=0.02))
        self.query_norm = nn.LayerNorm(out_dim, eps=norm_eps)
        self.token_norm = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.attention = CrossAttention(
            num_heads,
            query=nn.Linear(out_dim, out_dim),
            key_value=nn.Linear(embed_dim, 2 * out_dim),
            projection=nn.Linear(out_dim, out_dim),
        )
        self.norm = nn.LayerNorm(out_dim, eps=last_norm_eps)
        initialise(self, Normal())

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        # Queries do not see each other: the first can be asked alone.
        return self._asked(self.queries[:1], features).squeeze(1)

    def all(self, features: Features) -> Float[Tensor, "B Q D"]:
        """What every query sees; that of the first is the vector."""
        return self._asked(self.queries, features)

    def _asked(self, queries: Float[Tensor, "Q D"], features: Features) -> Float[Tensor, "B Q D"]:
        tokens = self.token_norm(features.tokens)
        asked = self.query_norm(queries).expand(len(tokens), -1, -1)
        return self.norm(self.attention(asked, tokens))


class ByAttention(BaseConfig):
    """Settings of `AttentionPool`.

    Attributes:
        num_heads: of the attention.
        mlp: the feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        norm_eps: of the norm before it.
    """

    kind: Literal["attention"] = "attention"
    num_heads: int = Field(default=8, gt=0)
    mlp: AnyMlp = GeluMlp()
    norm_eps: float = Field(default=1e-6, gt=0)

    def build(self, embed_dim: int) -> Pool:
        """Make the pool.

        Raises:
            InputError: the heads do not divide the width.
        """
        if embed_dim % self.num_heads:
            came = f"{self.num_heads} does not divide {embed_dim}"
            raise InputError("a num_heads of the pool that divides the width of the tokens", came, "change it")
        return AttentionPool(embed_dim, self.num_heads, self.mlp.build(embed_dim), self.norm_eps)


class ByQueries(BaseConfig):
    """Settings of `QueriesPool`.

    Attributes:
        num_queries: how many; one of them gives the vector.
        out_dim: width of the queries and of the vector; None for the trunk's.
        num_heads: of the attention.
        norm_eps: of the norms of queries and tokens.
        last_norm_eps: of the norm at the end.
    """

    kind: Literal["queries"] = "queries"
    num_queries: int = Field(default=256, gt=1)
    out_dim: int | None = Field(default=None, gt=0)
    num_heads: int = Field(default=8, gt=0)
    norm_eps: float = Field(default=1e-6, gt=0)
    last_norm_eps: float = Field(default=1e-6, gt=0)

    def build(self, embed_dim: int) -> QueriesPool:
        """Make the pool.

        Raises:
            InputError: the heads do not divide the width.
        """
        out_dim = self.out_dim or embed_dim
        if out_dim % self.num_heads:
            came = f"{self.num_heads} does not divide {out_dim}"
            raise InputError("a num_heads of the pool that divides the width of its queries", came, "change it")
        return QueriesPool(
            embed_dim=embed_dim,
            out_dim=out_dim,
            num_queries=self.num_queries,
            num_heads=self.num_heads,
            norm_eps=self.norm_eps,
            last_norm_eps=self.last_norm_eps,
        )
