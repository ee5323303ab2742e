"""Features into one vector per picture: what learned queries see in all tokens.

Paper: Zhai et al., 2021, arXiv 2106.04560, section 3.4 (a learned query), as in SigLIP.
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
        tokens = torch.cat([features.prefix, features.patches], dim=1)
        seen = self.attention(self.probe.expand(len(tokens), -1, -1), tokens)
        return (seen + self.mlp(self.norm(seen))).squeeze(1)


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
