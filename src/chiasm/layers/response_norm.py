"""Global response normalisation: every channel is scaled by how strong it is in the picture, against the others.

Paper: Woo et al., 2023, arXiv 2301.00808, section 4, algorithm 1.
Differs: gain and shift have one axis, not four.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.mlp import Mlp, MlpShape

EPS = 1e-6
"""Added to the mean strength."""


class ResponseNorm(nn.Module):
    """x + shift + gain * x * (strength of the channel) / (mean strength); at first x itself."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(embed_dim))
        self.shift = nn.Parameter(torch.zeros(embed_dim))

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        strength = torch.linalg.vector_norm(tokens, dim=1, keepdim=True)
        relative = strength / (strength.mean(dim=2, keepdim=True) + EPS)
        return torch.addcmul(self.shift, tokens, self.gain * relative + 1)


class GeluResponseMlp(MlpShape):
    """GELU with the exact normal distribution and then `ResponseNorm` (ConvNeXt V2)."""

    kind: Literal["gelu_response"] = "gelu_response"

    def build(self, embed_dim: int) -> nn.Module:
        width = self.width(embed_dim)
        return Mlp(embed_dim, width, nn.Sequential(nn.GELU(), ResponseNorm(width)))
