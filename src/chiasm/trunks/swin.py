"""Swin transformers, first and second version: attention within windows, in stages of ever wider and fewer tokens.

Paper: Liu et al., 2021, arXiv 2103.14030, section 3; Liu et al., 2021, arXiv 2111.09883, section 3. What the second
version changed are parts: `attention`, `norms` and `windows`.
Differs: pictures of any size are taken; where a side is no multiple of the patch, of the window or, between stages, of
2, zeros are put at the right and the bottom, as the authors' detection code does. Merging stands at the beginning of a
stage, not at the end of the one before, so that a stage's answer is the features of its resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.layers.hiding import MaskToken, Replaced
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.merging import AnyNorms, Before, WindowBlock
from chiasm.layers.mlp import AnyMlp, GeluMlp
from chiasm.layers.patch import NormedPatchEmbedding
from chiasm.layers.residual import DropPath
from chiasm.layers.window_attention import AnyWindowAttention, ByProduct
from chiasm.layers.windows import AnyWindows, Fitted
from chiasm.ops.patches import check_mask, patchify
from chiasm.trunks._channels import ChannelSettings, PictureTrunk
from chiasm.trunks._stages import Grid, Stage, Stages, drop_rates

Size = Literal["tiny", "small", "base", "large"]

STEM_NORM_EPS = 1e-5
"""Of the norm after the patch embedding; those of the blocks can be told."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Width of the first stage; blocks and heads of each."""

    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]


SIZES: dict[Size, Shape] = {
    "tiny": Shape(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": Shape(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": Shape(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "large": Shape(192, (2, 2, 18, 2), (6, 12, 24, 48)),
}


class SwinTransformer(PictureTrunk):
    """Patches into tokens, stages, a final norm; there is no class token.

    Args:
        image_size: side in pixels of the pictures that it was made for.
        patch_size: side of a patch in pixels.
        patch_embedding: patches of pixels to normed tokens.
        hiding: what becomes of hidden patches; None where they cannot be hidden.
        stages: of tokens twice as wide each as those of the one before.
        norm: after the last stage.
        mean, std: of each channel of the training pictures, in [0, 1].
    """

    hides_patches = False

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        patch_embedding: NormedPatchEmbedding,
        hiding: MaskToken | None,
        stages: Sequence[Stage],
        norm: nn.LayerNorm,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(mean, std)
        self.embed_dim = norm.normalized_shape[0]
        self.image_size = image_size
        self.patch_size = patch_size
        self.patch_embedding = patch_embedding
        self.hiding = hiding
        self.replaces_patches = hiding is not None
        self.stages = Stages(stages)
        self.norm = norm

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
        """Encode normalised pictures of any size.

        Args:
            images: as `normalize` returns them.
            patch_mask: True = replaced by the mask token; one for each patch of pixels, of which the first stage has a
                token each, row by row.
            layers: indices of stages whose tokens are returned as `intermediates`, each of its own width and grid, in
                the order asked for; negative ones count from the last stage. They are not normed: the one norm is that
                of the last stage's tokens.

        Raises:
            InputError: patches are to be hidden, but the trunk has no mask token.
            ValueError: the mask does not fit the pictures, or a stage does not exist.
        """
        tokens, grid, intermediates = self.stages(*self._embed(images, patch_mask), layers)
        return Features(prefix=tokens[:, :0], patches=self.norm(tokens), grid=grid, intermediates=intermediates)

    def levels(self) -> tuple[tuple[nn.Module, ...], ...]:
        """What embeds, the blocks of all stages, the final norm."""
        hiding = () if self.hiding is None else (self.hiding,)
        return ((self.patch_embedding, *hiding), *self.stages.levels(), (self.norm,))

    def _embed(
        self, images: Float[Tensor, "B C H W"], patch_mask: Bool[Tensor, "B _"] | None
    ) -> tuple[Float[Tensor, "B N D"], Grid]:
        """Patch tokens and their grid."""
        height, width = images.shape[-2:]
        missing = (-height % self.patch_size, -width % self.patch_size)
        if any(missing):
            images = functional.pad(images, (0, missing[1], 0, missing[0]))
        grid = ((height + missing[0]) // self.patch_size, (width + missing[1]) // self.patch_size)
        pixels = patchify(images, self.patch_size)
        if patch_mask is None:
            return self.patch_embedding(pixels), grid
        if self.hiding is None:
            do = "build it with hiding mask_token, or choose an objective that hides nothing"
            raise InputError("a trunk that can hide patches", "this Swin transformer has no mask token", do)
        check_mask(patch_mask, pixels, grid)
        tokens, _ = self.hiding(pixels, patch_mask, self.patch_embedding)
        return tokens, grid


class Config(ChannelSettings):
    """Settings of a Swin transformer; see `ChannelSettings` for mean and std.

    Attributes:
        family: the kind of trunk. Each has settings of its own; name one together with `--help` to see them.
        size: named width, depths and heads.
        embed_dim: width of the first stage; replaces that of `size`. Each stage is twice as wide as the one before.
        depths: number of blocks of each stage; replaces those of `size`.
        num_heads: attention heads of each stage; replaces those of `size`.
        image_size: side in pixels of the pictures it is made for.
        patch_size: side of a patch in pixels.
        window_sizes: side of a window in tokens: of all stages, or of each.
        windows: fitted to each picture (default) or fixed.
        attention: dot_product (default) or cosine.
        norms: before (default) or after the parts of a block.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        hiding: mask_token where a `patch_mask` replaces patches; None for none.
        drop_path: probability of dropping a part of a block in training: of the last block, falling to 0 at the first.
        norm_eps: of the norms of the blocks and of the last one.
    """

    family: Literal["swin"] = "swin"
    size: Size = "tiny"
    embed_dim: int | None = Field(default=None, gt=0)
    depths: tuple[int, ...] | None = None
    num_heads: tuple[int, ...] | None = None
    image_size: int = Field(default=224, gt=0, le=4096)
    patch_size: int = Field(default=4, gt=0)
    window_sizes: tuple[int, ...] = (7,)
    windows: AnyWindows = Fitted()
    attention: AnyWindowAttention = ByProduct()
    norms: AnyNorms = Before()
    mlp: AnyMlp = GeluMlp()
    hiding: Replaced | None = None
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    norm_eps: float = Field(default=1e-5, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        shape = self.shape
        if not shape.depths or len(shape.depths) != len(shape.num_heads) or min(*shape.depths, *shape.num_heads) < 1:
            raise InputError(
                "as many num_heads as depths, all above 0",
                f"depths are {list(shape.depths)} and num_heads {list(shape.num_heads)}",
                "give one of each for every stage",
            )
        for stage, heads in enumerate(shape.num_heads):
            width = shape.embed_dim << stage
            if width % heads:
                raise InputError(
                    f"num_heads that divide the width of stage {stage}, {width}", f"{heads} came", "change one"
                )
        if len(self.window_sizes) not in (1, len(shape.depths)) or min(self.window_sizes) < 1:
            raise InputError(
                f"one window size above 0, or one for each of {len(shape.depths)} stages",
                f"{list(self.window_sizes)} came",
                "change window_sizes",
            )
        return self

    @property
    def shape(self) -> Shape:
        """Width, depths and heads after the overrides."""
        named = SIZES[self.size]
        return Shape(self.embed_dim or named.embed_dim, self.depths or named.depths, self.num_heads or named.num_heads)

    def usual_patch_size(self, image_size: int) -> int:
        """The papers' 4, and 2 for small pictures, which leaves the last stage some tokens."""
        return 2 if image_size <= 64 else 4

    def build(self) -> SwinTransformer:
        """Make the trunk; its weights are drawn from PyTorch's generator."""
        shape = self.shape
        side = -(-self.image_size // self.patch_size)
        rates = iter(drop_rates(self.drop_path, shape.depths))
        stages = []
        for index, depth in enumerate(shape.depths):
            merging = self.norms.of_merging(shape.embed_dim << index - 1) if index else None
            blocks = [self._block(index, place % 2 == 1, side, next(rates)) for place in range(depth)]
            stages.append(Stage(merging, blocks))
            side = (side + 1) // 2
        trunk = SwinTransformer(
            image_size=self.image_size,
            patch_size=self.patch_size,
            patch_embedding=NormedPatchEmbedding(len(self.mean), self.patch_size, shape.embed_dim, STEM_NORM_EPS),
            hiding=None if self.hiding is None else self.hiding.build(shape.embed_dim),
            stages=stages,
            norm=nn.LayerNorm(shape.embed_dim << len(shape.depths) - 1, eps=self.norm_eps),
            mean=self.mean,
            std=self.std,
        )
        initialise(trunk, Normal())
        return trunk

    def _block(self, stage: int, is_shifted: bool, side: int, drop_path: float) -> WindowBlock:
        """A block of a stage whose grid is `side` x `side` at the size that the trunk is made for."""
        width, heads = self.shape.embed_dim << stage, self.shape.num_heads[stage]
        window = self.window_sizes[stage if len(self.window_sizes) > 1 else 0]
        windows = self.windows.build(window, (side, side), is_shifted)
        attention_norm, attention_post_norm = self.norms.of_branch(width, self.norm_eps)
        mlp_norm, mlp_post_norm = self.norms.of_branch(width, self.norm_eps)
        return WindowBlock(
            attention_norm=attention_norm,
            attention=self.attention.build(width, heads, windows, stage),
            attention_post_norm=attention_post_norm,
            mlp_norm=mlp_norm,
            mlp=self.mlp.build(width),
            mlp_post_norm=mlp_post_norm,
            drop_path=DropPath(drop_path),
        )
