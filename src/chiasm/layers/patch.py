"""Patches into tokens: each patch on its own by a linear map, or all together by convolutions, a few or a ResNet's.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1, equation 1 (linear map); Xiao et al., 2021, "Early
Convolutions Help Transformers See Better", arXiv 2106.14881, section 4 (convolutions); for the ResNet see
`layers.resnet_stem`.
Differs: as many strided convolutions as the patch size needs, and no transformer block is given up for them; each can
be followed by convolutions of stride 1, which the paper has none of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.layers.batch_norm import JoinedBatchNorm2d
from chiasm.layers.resnet_stem import ResNetFeatures
from chiasm.ops.patches import patchify

LEAST_CHANNELS = 24
"""Of the first convolution of a stem, as in the paper."""


class Stem(nn.Module, ABC):
    """Pictures to patch tokens.

    Attributes:
        projection: the map that ends in tokens.
        sees_one_patch: whether a token depends on the pixels of its own patch alone.
    """

    projection: nn.Linear | nn.Conv2d
    sees_one_patch: bool

    @abstractmethod
    def whole(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        """Tokens of all patches of whole pictures, row by row."""


class PatchEmbedding(Stem):
    """A linear map of the pixels of each patch.

    It acts on the rows that `ops.patches.patchify` cuts, not on pictures, for two reasons. Patches that are hidden need
    not be embedded at all. And on a CPU the product is faster than the strided convolution that it equals: 1.1 to 1.7
    times for forward and backward in float32, more in bfloat16 (benchmarks/patches.py). A convolution's weight
    `[D C p p]` flattened to `[D C*p*p]` is this weight.

    Args:
        num_channels: of a picture.
        patch_size: side of a patch in pixels.
        embed_dim: width of the tokens.
        bias: whether the map has one (CLIP's has none).
    """

    sees_one_patch = True

    def __init__(self, num_channels: int, patch_size: int, embed_dim: int, bias: bool) -> None:
        super().__init__()
        self._patch_size = patch_size
        self.projection = nn.Linear(num_channels * patch_size * patch_size, embed_dim, bias=bias)

    def forward(self, pixels: Float[Tensor, "B N _"]) -> Float[Tensor, "B N D"]:
        """Embed patches of pixels."""
        return self.projection(pixels)

    def whole(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        return self(patchify(images, self._patch_size))


class NormedPatchEmbedding(PatchEmbedding):
    """The same with a layer norm of each token at the end (Swin, ConvNeXt)."""

    def __init__(self, num_channels: int, patch_size: int, embed_dim: int, eps: float) -> None:
        super().__init__(num_channels, patch_size, embed_dim, bias=True)
        self.norm = nn.LayerNorm(embed_dim, eps=eps)

    def forward(self, pixels: Float[Tensor, "B N _"]) -> Float[Tensor, "B N D"]:
        """Embed patches of pixels."""
        return self.norm(self.projection(pixels))


class ConvolutionalStem(Stem):
    """3 x 3 convolutions of stride 2, each with batch norm and ReLU, then a 1 x 1 convolution to the token's width.

    Channels double from one to the next. Training is steadier and, in short runs, much faster than with a linear map,
    at a small part of the transformer's cost. Tokens see beyond their patches, so hidden ones cannot be left out; they
    can be replaced.

    Args:
        num_channels: of a picture.
        patch_size: side of a patch in pixels, a power of two from 2.
        embed_dim: width of the tokens.
        extra: convolutions of stride 1 that follow each of the last ones of stride 2; none follow those before.
    """

    sees_one_patch = False

    def __init__(self, num_channels: int, patch_size: int, embed_dim: int, extra: tuple[int, ...] = ()) -> None:
        super().__init__()
        depth = patch_size.bit_length() - 1
        if patch_size != 1 << depth or depth < 1:
            do = "choose another, or a linear stem"
            raise InputError("a patch size that is a power of two for a stem of convolutions", f"{patch_size} came", do)
        widths = [num_channels, *(max(LEAST_CHANNELS, embed_dim >> (depth - level)) for level in range(1, depth + 1))]
        if len(extra) > depth:
            do = "name as many or fewer"
            raise InputError(f"extra convolutions for at most {depth} levels", f"they came for {len(extra)}", do)
        parts: list[nn.Module] = []
        following = (0,) * (depth - len(extra)) + extra
        for width_in, width_out, num_following in zip(widths[:-1], widths[1:], following, strict=True):
            parts += _convolved(width_in, width_out, stride=2)
            for _ in range(num_following):
                parts += _convolved(width_out, width_out, stride=1)
        self.layers = nn.Sequential(*parts)
        self.projection = nn.Conv2d(widths[-1], embed_dim, 1)

    def whole(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        return self.projection(self.layers(images)).flatten(2).transpose(1, 2)


def _convolved(width_in: int, width_out: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A convolution with what follows it."""
    convolution = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
    return convolution, JoinedBatchNorm2d(width_out), nn.ReLU()


class ResNetStem(Stem):
    """The features of a ResNet, cut into patches and mapped to the token's width: the hybrid of the paper.

    Args:
        features: pictures to feature maps.
        side: of a patch on the feature map; 1 where every place is a token.
        embed_dim: width of the tokens.
    """

    sees_one_patch = False

    def __init__(self, features: ResNetFeatures, side: int, embed_dim: int) -> None:
        super().__init__()
        self.features = features
        self.projection = nn.Conv2d(features.out_width, embed_dim, side, stride=side)

    def whole(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        return self.projection(self.features(images)).flatten(2).transpose(1, 2)


class Linear(Config):
    """Settings of `PatchEmbedding`.

    Attributes:
        bias: whether the map has one (CLIP's has none).
    """

    kind: Literal["linear"] = "linear"
    bias: bool = True

    def build(self, num_channels: int, patch_size: int, embed_dim: int) -> Stem:
        """Make the stem."""
        return PatchEmbedding(num_channels, patch_size, embed_dim, self.bias)


class Convolutions(Config):
    """Settings of `ConvolutionalStem`.

    Attributes:
        extra: convolutions of stride 1 after each of the last ones of stride 2, the last one's last: `(1, 1, 1)` for
            the last three.
    """

    kind: Literal["convolutions"] = "convolutions"
    extra: tuple[NonNegativeInt, ...] = ()

    def build(self, num_channels: int, patch_size: int, embed_dim: int) -> Stem:
        """Make the stem.

        Raises:
            InputError: the patch size is no power of two, or too small for the extra convolutions.
        """
        return ConvolutionalStem(num_channels, patch_size, embed_dim, self.extra)


class ResNet(Config):
    """Settings of `ResNetStem`; the defaults are the first three stages of a ResNet-50 (R50+ViT-B/16).

    Attributes:
        depths: blocks of each stage; empty for the first convolution alone.
        widths: channels after each stage; as many as `depths`.
        first_width: channels of the first convolution.
        num_groups: of the group norms; divides all widths and the quarters of `widths`.
    """

    kind: Literal["resnet"] = "resnet"
    depths: tuple[PositiveInt, ...] = (3, 4, 9)
    widths: tuple[PositiveInt, ...] = (256, 512, 1024)
    first_width: int = Field(default=64, gt=0)
    num_groups: int = Field(default=32, gt=0)

    def build(self, num_channels: int, patch_size: int, embed_dim: int) -> Stem:
        """Make the stem.

        Raises:
            InputError: the patch size is no multiple of what the stages reduce by, or the widths do not fit together.
        """
        features = ResNetFeatures(num_channels, self.first_width, self.depths, self.widths, self.num_groups)
        if patch_size % features.reduction:
            raise InputError(
                f"a patch size that is a multiple of {features.reduction} for a stem of {len(self.depths)} stages",
                f"{patch_size} came",
                "choose another, or other depths",
            )
        return ResNetStem(features, patch_size // features.reduction, embed_dim)


AnyStem = Annotated[Linear | Convolutions | ResNet, Field(discriminator="kind"), usually("linear")]
