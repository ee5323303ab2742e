"""A picture classifier: an encoder and a head over the classes that it was trained on."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor

from chiasm.core.config import Config as BaseConfig
from chiasm.heads import classes
from chiasm.models import encoder
from chiasm.models.encoder import PictureModel


class Config(BaseConfig):
    """What a classifier is made of.

    Attributes:
        encoder: pictures to vectors.
        head: vectors to classes.
    """

    encoder: encoder.Config
    head: classes.Config

    def build(self) -> Classifier:
        """A classifier with random weights."""
        return Classifier(self)


class Classifier(PictureModel):
    """Pictures in, logits of its own classes out."""

    tasks = encoder.Encoder.tasks

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = config.encoder.build()
        self.head = config.head.build(self.image_encoder.embed_dim)

    @property
    def encoder(self) -> encoder.Encoder:
        return self.image_encoder

    @property
    def own_head(self) -> classes.ClassHead:
        return self.head

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        """Logits of pictures of RGB 0 to 255."""
        return self.head(self.image_encoder(images))
