"""Vectors into scores for prototypes: the head of self-distillation.

Paper: Caron et al., 2021, arXiv 2104.14294, section 3.2 and appendix C (three layers, 2048 wide, GELU, no batch norm, a
bottleneck of 256, vectors of length 1, weight-normalised prototypes); Salimans and Kingma, 2016, arXiv 1602.07868
(weight normalisation).
Differs: the width between the layers falls with that of a narrow trunk, for which the head would cost more than its
blocks.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.config import Config as BaseConfig
from chiasm.layers.initialise import Normal, initialise
from chiasm.ops.float32 import as_stored, at_least_float32

WIDEST = 2048
"""The paper's width between the layers."""
WIDTHS_OF_THE_TRUNK = 8
"""Trunks narrower than an eighth of `WIDEST` (256) get a head of so many times their width."""


class Prototypes(nn.Module):
    """Scores of unit vectors for prototypes: a linear map without bias whose rows have a length of their own.

    The directions begin as PyTorch's linear maps do, the lengths at 1.

    Args:
        width: of the vectors.
        num_prototypes: how many scores each gets.
        learns_gain: whether lengths are learned, or stay 1.
    """

    def __init__(self, width: int, num_prototypes: int, learns_gain: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.directions = nn.Parameter(torch.empty(num_prototypes, width))
        nn.init.uniform_(self.directions, -bound, bound)
        self.gain = nn.Parameter(torch.ones(num_prototypes, 1)) if learns_gain else None

    def forward(self, vectors: Float[Tensor, "B E"]) -> Float[Tensor, "B K"]:
        # A teacher's temperature of 0.01 makes much of the third digit, which bfloat16 rounds.
        with as_stored(vectors.device):
            weight = functional.normalize(at_least_float32(self.directions), dim=1)
            return functional.linear(at_least_float32(vectors), weight if self.gain is None else weight * self.gain)


class PrototypeHead(nn.Module):
    """An MLP with GELU between its layers, vectors of length 1 at its end, and prototypes.

    Args:
        widths: of the vectors that come in, between the layers, and of the bottleneck.
        num_prototypes: how many scores each vector gets.
        norm_last_layer: whether the lengths of the prototypes stay 1.

    Attributes:
        mlp: vectors to the bottleneck.
        prototypes: the last layer.
    """

    def __init__(self, widths: list[int], num_prototypes: int, norm_last_layer: bool) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for width_in, width_out in zip(widths[:-2], widths[1:-1], strict=True):
            parts += [nn.Linear(width_in, width_out), nn.GELU()]
        self.mlp = nn.Sequential(*parts, nn.Linear(widths[-2], widths[-1]))
        initialise(self.mlp, Normal())
        self.prototypes = Prototypes(widths[-1], num_prototypes, learns_gain=not norm_last_layer)

    def forward(self, vectors: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Scores, from -1 to 1 where lengths stay 1."""
        return self.prototypes(functional.normalize(at_least_float32(self.mlp(vectors)), dim=1))


class Config(BaseConfig):
    """Settings of a head of prototypes.

    Attributes:
        num_prototypes: scores of each vector; the papers' 65536 is for a million pictures or more.
        num_layers: of the MLP.
        hidden_dim: width between its layers; None for 2048, and for eight times the width of a narrower trunk.
        bottleneck_dim: width of the vectors that are compared with prototypes.
        norm_last_layer: whether the lengths of the prototypes stay 1, which is steadier; the paper lets a ViT-S learn
            them.
    """

    num_prototypes: int = Field(default=65_536, gt=1)
    num_layers: int = Field(default=3, ge=1)
    hidden_dim: int | None = Field(default=None, gt=0)
    bottleneck_dim: int = Field(default=256, gt=0)
    norm_last_layer: bool = True

    def build(self, embed_dim: int) -> PrototypeHead:
        """Make the head for vectors of a given width."""
        hidden_dim = self.hidden_dim or min(WIDEST, WIDTHS_OF_THE_TRUNK * embed_dim)
        widths = [embed_dim, *[hidden_dim] * (self.num_layers - 1), self.bottleneck_dim]
        return PrototypeHead(widths, self.num_prototypes, self.norm_last_layer)
