"""ConvNeXt, first and second version, and DINOv3's: convolutions alone, in stages of ever wider and fewer tokens.

Paper: Liu et al., 2022, arXiv 2201.03545, section 2; Woo et al., 2023, arXiv 2301.00808, section 4 (second version: the
`gelu_response` feed-forward part, no layer scale); Simeoni et al., 2025, arXiv 2508.10104 (how DINOv3's end).
Differs: pictures of any size are taken; pixels and tokens at the right and the bottom that fill no patch, or no 2 x 2
between stages, are left out, as strided convolutions do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.layers.convolution_block import ConvolutionBlock, Halving
from chiasm.layers.ending import AnyEnding, Bare, Ending
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.mlp import GeluMlp, GeluQuickMlp, GeluTanhMlp
from chiasm.layers.patch import NormedPatchEmbedding
from chiasm.layers.residual import DropPath, LayerScale
from chiasm.layers.response_norm import GeluResponseMlp
from chiasm.ops.patches import patchify
from chiasm.trunks._channels import ChannelSettings, PictureTrunk
from chiasm.trunks._stages import Grid, Stage, Stages, drop_rates

Size = Literal["tiny", "small", "base", "large"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and blocks of each stage."""

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]


SIZES: dict[Size, Shape] = {
    "tiny": Shape((96, 192, 384, 768), (3, 3, 9, 3)),
    "small": Shape((96, 192, 384, 768), (3, 3, 27, 3)),
    "base": Shape((128, 256, 512, 1024), (3, 3, 27, 3)),
    "large": Shape((192, 384, 768, 1536), (3, 3, 27, 3)),
}


AnyMlp = Annotated[GeluMlp | GeluTanhMlp | GeluQuickMlp | GeluResponseMlp, Field(discriminator="kind"), usually("gelu")]


class ConvNeXt(PictureTrunk):
    """Patches into tokens, stages, an ending.

    Args:
        image_size: side in pixels of the pictures that it was made for.
        patch_size: side of a patch in pixels.
        patch_embedding: patches of pixels to normed tokens.
        stages: of tokens, each on half the rows and columns of the one before.
        embed_dim: width of the last stage.
        ending: what becomes of its tokens.
        mean, std: of each channel of the training pictures, in [0, 1].
    """

    hides_patches = False
    replaces_patches = False

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        patch_embedding: NormedPatchEmbedding,
        stages: Sequence[Stage],
        embed_dim: int,
        ending: Ending,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(mean, std)
        self.embed_dim = embed_dim
        self.image_size = image_size
        self.patch_size = patch_size
        self.patch_embedding = patch_embedding
        self.stages = Stages(stages)
        self.ending = ending

    @property
    def stride_px(self) -> int:
        """Doubles from each stage to the next."""
        return self.patch_size << (len(self.stages) - 1)

    def forward(
        self,
        images: Float[Tensor, "B C H W"],
        *,
        patch_mask: Bool[Tensor, "B N"] | None = None,
        layers: Sequence[int] = (),
    ) -> Features:
        """Encode normalised pictures of any size from that of one token of the last stage.

        Args:
            images: as `normalize` returns them.
            patch_mask: None; convolutions see beyond their patches, into hidden ones.
            layers: indices of stages whose tokens are returned as `intermediates`, each of its own width and grid, in
                the order asked for; negative ones count from the last stage. They are as the stage made them: the
                ending fits the last stage alone.

        Raises:
            InputError: patches are to be hidden, or the pictures are too small.
            ValueError: a stage does not exist.
        """
        if patch_mask is not None:
            do = "choose a vit or a swin trunk, or an objective that hides nothing"
            raise InputError("a trunk that can hide patches", "convolutions see beyond them", do)
        tokens, grid, intermediates = self.stages(*self._embed(images), layers)
        prefix, patches = self.ending(tokens)
        return Features(
            prefix=prefix,
            patches=patches,
            grid=grid,
            num_class_tokens=prefix.shape[1],
            intermediates=intermediates,
        )

    def levels(self) -> tuple[tuple[nn.Module, ...], ...]:
        """What embeds, the blocks of all stages, the ending."""
        return ((self.patch_embedding,), *self.stages.levels(), (self.ending,))

    def _embed(self, images: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B N D"], Grid]:
        """Patch tokens and their grid."""
        height, width = images.shape[-2:]
        least = self.stride_px
        if min(height, width) < least:
            came = f"one of {height} x {width} px (height x width) came"
            raise InputError(f"a picture of at least {least} px a side", came, "resize it first")
        grid = height // self.patch_size, width // self.patch_size
        whole = images[..., : grid[0] * self.patch_size, : grid[1] * self.patch_size]
        return self.patch_embedding(patchify(whole, self.patch_size)), grid


class Config(ChannelSettings):
    """Settings of a ConvNeXt; see `ChannelSettings` for mean and std.

    Attributes:
        family: the kind of trunk. Each has settings of its own; name one together with `--help` to see them.
        size: named widths and depths.
        embed_dims: width of each stage; replaces those of `size`.
        depths: number of blocks of each stage; replaces those of `size`.
        image_size: side in pixels of the pictures it is made for.
        patch_size: side of a patch in pixels.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or gelu_response (ConvNeXt V2).
        layer_scale: initial value of the gain of each block; None for no such gain (ConvNeXt V2).
        drop_path: probability of dropping a block in training: of the last one, falling to 0 at the first.
        ending: bare (default), normed or mean_token (DINOv3).
        norm_eps: of all norms.
    """

    family: Literal["convnext"] = "convnext"
    size: Size = "tiny"
    embed_dims: tuple[int, ...] | None = None
    depths: tuple[int, ...] | None = None
    image_size: int = Field(default=224, gt=0, le=4096)
    patch_size: int = Field(default=4, gt=0)
    mlp: AnyMlp = GeluMlp()
    layer_scale: float | None = 1e-6
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    ending: AnyEnding = Bare()
    norm_eps: float = Field(default=1e-6, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        widths, depths = self.shape.embed_dims, self.shape.depths
        if not widths or len(widths) != len(depths) or min(*widths, *depths) < 1:
            raise InputError(
                "as many embed_dims as depths, all above 0",
                f"embed_dims are {list(widths)} and depths {list(depths)}",
                "give one of each for every stage",
            )
        return self

    @property
    def shape(self) -> Shape:
        """Widths and depths after the overrides."""
        named = SIZES[self.size]
        return Shape(self.embed_dims or named.embed_dims, self.depths or named.depths)

    def usual_patch_size(self, image_size: int) -> int:
        """The papers' 4, and 2 for small pictures, which leaves the last stage some tokens."""
        return 2 if image_size <= 64 else 4

    def build(self) -> ConvNeXt:
        """Make the trunk; its weights are drawn from PyTorch's generator."""
        widths, depths = self.shape.embed_dims, self.shape.depths
        rates = iter(drop_rates(self.drop_path, depths))
        stages = []
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            merging = Halving(widths[index - 1], width, self.norm_eps) if index else None
            stages.append(Stage(merging, [self._block(width, next(rates)) for _ in range(depth)]))
        trunk = ConvNeXt(
            image_size=self.image_size,
            patch_size=self.patch_size,
            patch_embedding=NormedPatchEmbedding(len(self.mean), self.patch_size, widths[0], self.norm_eps),
            stages=stages,
            embed_dim=widths[-1],
            ending=self.ending.build(widths[-1], self.norm_eps),
            mean=self.mean,
            std=self.std,
        )
        _initialise(trunk)
        return trunk

    def _block(self, width: int, drop_path: float) -> ConvolutionBlock:
        return ConvolutionBlock(
            width,
            norm=nn.LayerNorm(width, eps=self.norm_eps),
            mlp=self.mlp.build(width),
            scale=nn.Identity() if self.layer_scale is None else LayerScale(width, self.layer_scale),
            drop_path=DropPath(drop_path),
        )


def _initialise(trunk: ConvNeXt) -> None:
    """Convolutions begin as linear maps do."""
    initialise(trunk, Normal())
    with torch.no_grad():
        for part in trunk.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.trunc_normal_(part.weight, std=Normal().deviation)
                if part.bias is not None:
                    part.bias.zero_()
