"""What objectives have in common that learn from captions: settings, and how they see a picture.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4 (a square cut at random is all that pictures go through).
"""

from __future__ import annotations

from pydantic import Field

from chiasm.core.protocols import ObjectiveConfig
from chiasm.core.views import ViewSpec
from chiasm.heads import pool as pools


class Captioned(ObjectiveConfig):
    """What all have as settings, beside `text`, whose vocabulary a recipe learns.

    Attributes:
        embed_dim: width of the space that pictures and texts share.
        min_area: smallest share of the picture that is seen.
        pool: how a picture's tokens become one vector.
    """

    embed_dim: int = Field(default=256, gt=0)
    min_area: float = Field(default=0.8, gt=0, le=1)
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    @property
    def most_tokens(self) -> int:
        """Most tokens of the vocabulary."""
        raise TypeError(f"{type(self).__name__} must say how large its vocabulary may be")

    def reading(self, vocab_size: int) -> Captioned:
        """The same for another vocabulary."""
        raise TypeError(f"{type(self).__name__} must say what reads its vocabulary")


def nearly_all(size_px: int, min_area: float) -> ViewSpec:
    """A view of most of a picture, neither mirrored nor recoloured: captions tell places and colours.

    Args:
        size_px: side of the view.
        min_area: smallest share of the picture that is seen.
    """
    return ViewSpec(size_px=size_px, min_area=min_area, flip=0.0, jitter=None, grey=0.0, blur=None)
