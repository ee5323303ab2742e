"""A picture encoder and a text encoder that share a space: CLIP, SigLIP.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.3 (softmax over a learned temperature); Zhai et al., 2023,
arXiv 2303.15343, section 3 (sigmoid with a learned bias).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.models import encoder, text_encoder
from chiasm.models.encoder import PictureModel


class Config(BaseConfig):
    """What a dual encoder is made of.

    Attributes:
        image: pictures to vectors.
        text: texts to vectors of the same width.
        logit_scale: what the logarithm of the scale of the cosines begins at.
        logit_bias: what the bias added to the scaled cosines begins at; None for a model without (CLIP).
    """

    image: encoder.Config
    text: text_encoder.Config
    logit_scale: float = Field(default=math.log(1 / 0.07))
    logit_bias: float | None = None

    def build(self) -> DualEncoder:
        """A model with random weights.

        Raises:
            InputError: the two sides end in vectors of different widths.
        """
        return DualEncoder(self)


class DualEncoder(PictureModel):
    """Pictures and texts in, how well each goes with each out."""

    tasks = (*encoder.Encoder.tasks, "match")
    reads_text = True
    logit_bias: nn.Parameter | None

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = config.image.build()
        self.text_encoder = config.text.build()
        widths = self.image_encoder.embed_dim, self.text_encoder.embed_dim
        if widths[0] != widths[1]:
            raise InputError(
                "pictures and texts as vectors of one width", f"{widths[0]} and {widths[1]} came", "project one of them"
            )
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale))
        bias = None if config.logit_bias is None else nn.Parameter(torch.tensor(config.logit_bias))
        self.register_parameter("logit_bias", bias)

    @property
    def encoder(self) -> encoder.Encoder:
        return self.image_encoder

    @property
    def texts(self) -> text_encoder.Texts:
        bias = None if self.logit_bias is None else self.logit_bias.item()
        return text_encoder.Texts(self.text_encoder, self.logit_scale.exp().item(), bias)

    def forward(self, images: UInt8[Tensor, "B 3 H W"], tokens: Int64[Tensor, "M T"]) -> Float[Tensor, "B M"]:
        """Logits of each picture (rows) with each text (columns).

        Their softmax over the texts, or their sigmoid where the model has a bias, is what it was trained on.

        Args:
            images: of RGB 0 to 255.
            tokens: of texts.
        """
        pictures = functional.normalize(self.image_encoder(images), dim=1)
        texts = functional.normalize(self.text_encoder(tokens), dim=1)
        logits = pictures @ texts.T * self.logit_scale.exp()
        return logits if self.logit_bias is None else logits + self.logit_bias
