"""A picture encoder: trunk and pooling, one vector a picture."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from chiasm.core.config import Config as BaseConfig
from chiasm.core.protocols import Model
from chiasm.heads import pool as pools
from chiasm.trunks import AnyTrunk


class Config(BaseConfig):
    """What an encoder is made of.

    Attributes:
        trunk: family and settings of the trunk.
        pool: how tokens become one vector.
    """

    trunk: AnyTrunk
    pool: pools.Config = pools.Config()

    def build(self) -> Encoder:
        """An encoder with random weights."""
        return Encoder(self)


class Encoder(Model):
    """Pictures in, vectors of length 1 out."""

    tasks = ("embed", "index", "search", "classify")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.trunk = config.trunk.build()
        self.pool = config.pool.build(self.trunk.embed_dim)
        self.embed_dim = self.pool.out_dim

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Embed pictures of RGB 0 to 255."""
        return functional.normalize(self.pool(self.trunk(self.trunk.normalize(images))).float(), dim=1)
