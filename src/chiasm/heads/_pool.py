"""What every pool promises: features into one vector per picture."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.core.features import Features


class Pool(nn.Module, ABC):
    """Base of all kinds.

    Attributes:
        out_dim: width of the vectors.
    """

    def __init__(self, out_dim: int) -> None:
        super().__init__()
        self.out_dim = out_dim

    @abstractmethod
    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        """One vector per picture."""
