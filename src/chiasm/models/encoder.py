"""A picture encoder: trunk, pooling and, where there is one, a projection: one vector a picture."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.core.features import Features
from chiasm.core.protocols import Model
from chiasm.data.fits import AnyFit, CentreCrop
from chiasm.heads import pool as pools
from chiasm.heads.classes import ClassHead
from chiasm.models._writing import Matching, Prompting, Writing
from chiasm.models.text_encoder import Texts
from chiasm.trunks import AnyTrunk


class PictureModel(Model):
    """Every model that turns pictures into vectors; what else it can do is told by its parts."""

    @property
    def encoder(self) -> Encoder:
        """Pictures to vectors."""
        raise TypeError(f"{type(self).__name__} must say which of its parts encodes pictures")

    @property
    def own_head(self) -> ClassHead | None:
        """Vectors to the classes that the model itself was trained on; None where it was not."""
        return None

    @property
    def texts(self) -> Texts | None:
        """Texts to vectors in the space of the pictures; None where the model was not tied to language."""
        return None

    @property
    def writing(self) -> Writing[Any] | None:
        """What writes about pictures; None where the model has no such part."""
        return None

    @property
    def matching(self) -> Matching[Any] | None:
        """What tells whether a text belongs to a picture; None where the model has no such part."""
        return None

    @property
    def prompting(self) -> Prompting[Any] | None:
        """What learns from examples that stand before a text; None where the model has no such part."""
        return None


class Config(BaseConfig):
    """What an encoder is made of.

    Attributes:
        trunk: family and settings of the trunk.
        pool: how tokens become one vector.
        projection: width of the space that a linear map takes the vector to (CLIP); None for no map.
        projection_bias: whether the map has a bias (BLIP).
        fit: how a picture of any shape becomes the square that the trunk takes.
    """

    trunk: AnyTrunk
    pool: pools.Config = pools.Config()
    projection: int | None = Field(default=None, gt=0)
    projection_bias: bool = False
    fit: AnyFit = CentreCrop()

    def build(self) -> Encoder:
        """An encoder with random weights."""
        return Encoder(self)


class Encoder(PictureModel):
    """Pictures in, vectors out."""

    tasks = ("embed", "index", "search", "similar", "duplicates", "outliers", "classify", "explain", "map")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.fit = config.fit
        self.trunk = config.trunk.build()
        self.pool = config.pool.build(self.trunk.embed_dim)
        out_dim = config.projection or self.pool.out_dim
        self.projection = nn.Identity()
        if config.projection:
            self.projection = nn.Linear(self.pool.out_dim, out_dim, bias=config.projection_bias)
        self.embed_dim = out_dim

    @property
    def encoder(self) -> Encoder:
        return self

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Vectors of pictures of RGB 0 to 255, of any length, in the precision of the weights."""
        return self.vectors(self.features(images))

    def features(self, images: UInt8[Tensor, "B 3 H W"]) -> Features:
        """All tokens of pictures of RGB 0 to 255."""
        return self.trunk(self.trunk.normalize(images))

    def vectors(self, features: Features) -> Float[Tensor, "B D"]:
        """One vector for each picture, of any length, made of its tokens."""
        return self.projection(self.pool(features))
