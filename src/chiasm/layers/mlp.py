"""The feed-forward half of a transformer block, with its activation, and its gated form.

Paper: Hendrycks and Gimpel, 2016, arXiv 1606.08415, section 2 (GELU, its tanh and its sigmoid approximation); Shazeer,
2020, arXiv 2002.05202, section 2 (SwiGLU).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.choice import usually
from chiasm.core.config import Config


class QuickGelu(nn.Module):
    """x * sigmoid(1.702 x): the activation of OpenAI's CLIP weights."""

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        if tokens.requires_grad and torch.is_grad_enabled():
            return tokens * torch.sigmoid(1.702 * tokens)
        # The same numbers with one new tensor instead of three: each may have to be fetched from the system, which
        # takes longer than the arithmetic.
        return (1.702 * tokens).sigmoid_().mul_(tokens)


class Mlp(nn.Module):
    """Linear, activation, linear.

    Args:
        embed_dim: width in and out.
        hidden_dim: width between.
        activation: applied between; has no weights.
        bias: whether both linear maps have one.
    """

    def __init__(self, embed_dim: int, hidden_dim: int, activation: nn.Module, bias: bool = True) -> None:
        super().__init__()
        self.up = nn.Linear(embed_dim, hidden_dim, bias=bias)
        self.activation = activation
        self.down = nn.Linear(hidden_dim, embed_dim, bias=bias)

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return self.down(self.activation(self.up(tokens)))


class SwiGlu(nn.Module):
    """Linear of (SiLU of one linear) * (another linear); the first two are one product, the gate in its first half."""

    def __init__(self, embed_dim: int, hidden_dim: int, bias: bool = True) -> None:
        super().__init__()
        self.gate_up = nn.Linear(embed_dim, 2 * hidden_dim, bias=bias)
        self.down = nn.Linear(hidden_dim, embed_dim, bias=bias)

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        gate, up = self.gate_up(tokens).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class MlpShape(Config):
    """Settings that all kinds share.

    Attributes:
        mlp_ratio: width between as a multiple of the token's width.
        hidden_dim: the width between itself, for models whose ratio is no round number; replaces `mlp_ratio`.
        bias: whether its linear maps have one.
    """

    mlp_ratio: float = Field(default=4.0, gt=0)
    hidden_dim: int | None = Field(default=None, gt=0)
    bias: bool = True

    def width(self, embed_dim: int) -> int:
        """The width between."""
        return self.hidden_dim or int(embed_dim * self.mlp_ratio)


class GeluMlp(MlpShape):
    """GELU with the exact normal distribution."""

    kind: Literal["gelu"] = "gelu"

    def build(self, embed_dim: int) -> nn.Module:
        return Mlp(embed_dim, self.width(embed_dim), nn.GELU(), self.bias)


class GeluTanhMlp(MlpShape):
    """GELU approximated with tanh (SigLIP)."""

    kind: Literal["gelu_tanh"] = "gelu_tanh"

    def build(self, embed_dim: int) -> nn.Module:
        return Mlp(embed_dim, self.width(embed_dim), nn.GELU(approximate="tanh"), self.bias)


class GeluQuickMlp(MlpShape):
    """GELU approximated with a sigmoid (CLIP)."""

    kind: Literal["gelu_quick"] = "gelu_quick"

    def build(self, embed_dim: int) -> nn.Module:
        return Mlp(embed_dim, self.width(embed_dim), QuickGelu(), self.bias)


class SwiGluMlp(MlpShape):
    """SwiGLU.

    From a ratio, two thirds of the width are taken (three matrices instead of two then hold as many weights), rounded
    up to a multiple of 8, as in DINOv2. A given `hidden_dim` is taken as it is, as in DINOv3.
    """

    kind: Literal["swiglu"] = "swiglu"

    def width(self, embed_dim: int) -> int:
        return self.hidden_dim or (int(int(embed_dim * self.mlp_ratio) * 2 / 3) + 7) // 8 * 8

    def build(self, embed_dim: int) -> nn.Module:
        return SwiGlu(embed_dim, self.width(embed_dim), self.bias)


AnyMlp = Annotated[GeluMlp | GeluTanhMlp | GeluQuickMlp | SwiGluMlp, Field(discriminator="kind"), usually("gelu")]
