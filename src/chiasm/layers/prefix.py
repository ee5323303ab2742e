"""Tokens that stand before the patches: the class token and registers.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1 (class token); Darcet et al., 2023, arXiv 2309.16588
(registers).
Differs: registers start from a normal distribution with deviation 0.02, as the class token, not 1e-6.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PrefixTokens(nn.Module):
    """A class token, if there is one, and then the registers; none of them has a position.

    Args:
        embed_dim: width of the tokens.
        num_class_tokens: 0 or 1.
        num_register_tokens: 0 or more.
    """

    cls_token: nn.Parameter | None
    register_tokens: nn.Parameter | None

    def __init__(self, embed_dim: int, num_class_tokens: int, num_register_tokens: int) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.num_class_tokens = num_class_tokens
        self.num_register_tokens = num_register_tokens
        self.register_parameter("cls_token", _tokens(num_class_tokens, embed_dim))
        self.register_parameter("register_tokens", _tokens(num_register_tokens, embed_dim))

    @property
    def num_tokens(self) -> int:
        """Class token and registers together."""
        return self.num_class_tokens + self.num_register_tokens

    def forward(self, patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B _ D"]:
        """Put the tokens before the patches."""
        present = [tokens for tokens in (self.cls_token, self.register_tokens) if tokens is not None]
        batch = len(patches)
        return torch.cat([*(tokens.expand(batch, -1, -1) for tokens in present), patches], dim=1)


def _tokens(count: int, embed_dim: int) -> nn.Parameter | None:
    """Tokens to learn; None where there are none, so that no empty tensor is among the weights."""
    if not count:
        return None
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, count, embed_dim), std=0.02))
