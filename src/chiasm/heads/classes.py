"""Vectors into one number per class that the model was trained to tell apart."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig


class ClassHead(nn.Module):
    """A linear map to logits.

    Args:
        embed_dim: width of the vectors.
        classes: names, in the order of the logits.
    """

    def __init__(self, embed_dim: int, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(embed_dim, len(classes))

    def forward(self, vectors: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """One logit per class."""
        return self.linear(vectors)


class Config(BaseConfig):
    """Settings of a class head.

    Attributes:
        classes: names, in the order of the logits.
    """

    classes: tuple[str, ...]

    def build(self, embed_dim: int) -> ClassHead:
        """Make the head for vectors of a given width."""
        return ClassHead(embed_dim, self.classes)
