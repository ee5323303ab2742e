"""How the weights of a transformer begin.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, and its PyTorch descendants DeiT, DINO, DINOv2 (normal); He et al.,
2021, arXiv 2111.06377, appendix A.1 (Xavier).
Differs: the normal distribution is cut at +-2, which at a deviation of 0.02 is not cut at all; the published PyTorch
code does the same. The patch embedding is Xavier-uniform in both: its fan-in goes from 48 (4 px) to 768 (16 px), and a
fixed deviation would make tokens of small patches start at a tenth of their size.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.layers.patch import PatchEmbedding


class Normal(Config):
    """Weights of linear maps from a normal distribution, biases zero.

    Attributes:
        deviation: standard deviation of the weights.
    """

    kind: Literal["normal"] = "normal"
    deviation: float = Field(default=0.02, gt=0)

    def apply(self, linear: nn.Linear) -> None:
        """Draw the weights of one map anew."""
        nn.init.trunc_normal_(linear.weight, std=self.deviation)


class Xavier(Config):
    """Weights of linear maps Xavier-uniform, biases zero."""

    kind: Literal["xavier"] = "xavier"

    def apply(self, linear: nn.Linear) -> None:
        """Draw the weights of one map anew."""
        nn.init.xavier_uniform_(linear.weight)


AnyInitialisation = Annotated[Normal | Xavier, Field(discriminator="kind"), usually("normal")]


def initialise(module: nn.Module, how: Normal | Xavier) -> None:
    """Draw the weights of all linear maps within a module anew, from PyTorch's generator; biases become zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            how.apply(part)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, PatchEmbedding):
            nn.init.xavier_uniform_(part.projection.weight)
