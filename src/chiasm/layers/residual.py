"""What a residual branch passes through before it is added: layer scale and drop path.

Paper: Touvron et al., 2021, arXiv 2103.17239, section 2 (layer scale); Huang et al., 2016, arXiv 1603.09382, section 3
(stochastic depth, here per picture, as in all vision transformers).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerScale(nn.Module):
    """A learned factor per number of a token."""

    def __init__(self, embed_dim: int, initial: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((embed_dim,), initial))

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return tokens * self.gain


class DropPath(nn.Module):
    """In training, sets a whole branch to zero for a random part of the pictures and makes up for it in the others.

    Args:
        rate: probability of zero, at least 0 and below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        if not self.training or self.rate == 0:
            return tokens
        kept = 1 - self.rate
        # Divided afterwards: 1 / kept is no bfloat16 number, and rounding it would bias every branch.
        stays = tokens.new_empty(len(tokens), 1, 1).bernoulli_(kept)
        return (tokens * stays).div_(kept)

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"
