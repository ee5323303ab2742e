"""The vision transformer: ViT, DeiT, DINO, DINOv2, DINOv3, MAE, the image sides of CLIP and SigLIP are cases of it.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1. The parts that later families changed are in `layers`,
each with its paper: positions, registers, feed-forward, layer scale and drop path, hidden patches.
Differs: the class token has no position of its own (it would only be added to the token). Intermediate features pass
through the final norm, so that they are what a trunk with fewer blocks returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.layers.arrangement import Packed, Separate, packing_is_faster
from chiasm.layers.block import Block, BlockSettings
from chiasm.layers.hiding import AnyHiding, Hiding, LeftOut
from chiasm.layers.initialise import AnyInitialisation, Normal, initialise
from chiasm.layers.patch import AnyStem, Linear, Stem
from chiasm.layers.positions import AnyPositions, Learned, Positions, Rotation
from chiasm.layers.prefix import PrefixTokens
from chiasm.ops.patches import check_mask, grid_of, hidden_pixels, patchify
from chiasm.trunks._channels import ChannelSettings, PictureTrunk

Size = Literal["pico", "tiny", "small", "base", "large"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Width, depth and heads of a transformer."""

    embed_dim: int
    depth: int
    num_heads: int


SIZES: dict[Size, Shape] = {
    "pico": Shape(128, 6, 4),
    "tiny": Shape(192, 12, 3),
    "small": Shape(384, 12, 6),
    "base": Shape(768, 12, 12),
    "large": Shape(1024, 24, 16),
}


class VisionTransformer(PictureTrunk):
    """Patches into tokens, a few tokens before them, positions, pre-norm blocks, a final norm.

    Args:
        image_size: side in pixels of the pictures that the positions were made for.
        patch_size: side of a patch in pixels.
        patch_embedding: patches of pixels to tokens.
        hiding: what becomes of hidden patches.
        positions: what is added to the tokens, or how they are turned.
        prefix: class token and registers.
        pre_norm: before the first block (CLIP), or identity.
        blocks: the blocks.
        norm: after the last block, or identity.
        mean, std: of each channel of the training pictures, in [0, 1].
    """

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        patch_embedding: Stem,
        hiding: Hiding,
        positions: Positions,
        prefix: PrefixTokens,
        pre_norm: nn.Module,
        blocks: Sequence[Block],
        norm: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(mean, std)
        self.embed_dim = prefix.embed_dim
        self.image_size = image_size
        self.patch_size = patch_size
        self.hides_patches = hiding.leaves_out and patch_embedding.sees_one_patch
        self.replaces_patches = not hiding.leaves_out
        self.patch_embedding = patch_embedding
        self.hiding = hiding
        self.positions = positions
        self.prefix = prefix
        self.pre_norm = pre_norm
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def grid(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Rows and columns of patches in a picture of a given size.

        Raises:
            InputError: a side is no multiple of the patch size.
        """
        return grid_of(height_px, width_px, self.patch_size)

    def forward(
        self,
        images: Float[Tensor, "B C H W"],
        *,
        patch_mask: Bool[Tensor, "B N"] | None = None,
        layers: Sequence[int] = (),
    ) -> Features:
        """Encode normalised pictures of any size whose sides are multiples of the patch size.

        Args:
            images: as `normalize` returns them.
            patch_mask: True = hidden; whether hidden patches are left out (then every row must hide the same number)
                or replaced by a mask token is the trunk's `hiding`.
            layers: indices of blocks whose outputs, normed, are returned as `intermediates`, in the order asked for;
                negative ones count from the last block.

        Raises:
            InputError: the size of the pictures is no multiple of the patch size.
            ValueError: the mask does not fit the pictures, the stem cannot leave hidden patches out, or a layer
                does not exist.
        """
        grid = self.grid(*images.shape[-2:])
        wanted = self._block_indices(layers)
        patches, visible = self._embed(images, grid, patch_mask)
        arrangement = Separate(self._rotation(grid, patches, visible))
        tokens = self.pre_norm(self.prefix(patches))
        kept: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, arrangement)
            if index in wanted:
                kept[index] = tokens
        intermediates = tuple(self._features(self.norm(kept[index]), grid, visible, ()) for index in wanted)
        return self._features(self.norm(tokens), grid, visible, intermediates)

    def encode_together(
        self, images: Sequence[Float[Tensor, "_ C _ _"]], patch_masks: Sequence[Bool[Tensor, "_ _"] | None] = ()
    ) -> tuple[Features, ...]:
        """Encode groups of normalised pictures, each group of a size of its own; the same as one call for each.

        Where that is faster, all tokens run through the blocks in one row; see `layers.arrangement`.
        """
        if not packing_is_faster(images):
            return super().encode_together(images, patch_masks)
        grids = [self.grid(*group.shape[-2:]) for group in images]
        masks = patch_masks or [None] * len(images)
        embedded = [self._embed(*group) for group in zip(images, grids, masks, strict=True)]
        alone = [
            Separate(self._rotation(grid, patches, visible))
            for grid, (patches, visible) in zip(grids, embedded, strict=True)
        ]
        groups = [self.prefix(patches) for patches, _ in embedded]
        arrangement = Packed(tuple((len(tokens), tokens.shape[1]) for tokens in groups), tuple(alone))
        row = self.pre_norm(arrangement.join(groups))
        for block in self.blocks:
            row = block(row, arrangement)
        normed = zip(arrangement.split(self.norm(row)), grids, embedded, strict=True)
        return tuple(self._features(tokens, grid, visible, ()) for tokens, grid, (_, visible) in normed)

    def levels(self) -> tuple[tuple[nn.Module, ...], ...]:
        """What embeds, the blocks, the final norm."""
        embedding = (self.patch_embedding, self.hiding, self.positions, self.prefix, self.pre_norm)
        return (embedding, *((block,) for block in self.blocks), (self.norm,))

    def weights_for(self, image_size: int) -> dict[str, Tensor]:
        """The weights with the positions resampled."""
        placed = self.positions.weights_for(self.grid(image_size, image_size))
        return {**self.state_dict(), **{f"positions.{name}": value for name, value in placed.items()}}

    def _embed(
        self, images: Float[Tensor, "B C H W"], grid: tuple[int, int], patch_mask: Bool[Tensor, "B _"] | None
    ) -> tuple[Float[Tensor, "B _ D"], Int64[Tensor, "B _"] | None]:
        """Patch tokens with their positions added, and which of them are there; None for all."""
        visible = None
        if patch_mask is None:
            patches = self.patch_embedding.whole(images)
        elif not self.patch_embedding.sees_one_patch:
            patches = self._embed_shown(images, grid, patch_mask)
        else:
            pixels = patchify(images, self.patch_size)
            check_mask(patch_mask, pixels, grid)
            patches, visible = self.hiding(pixels, patch_mask, self.patch_embedding)
        table = self.positions.added(grid, patches)
        if table is None:
            return patches, visible
        return patches + (table if visible is None else nn.functional.embedding(visible, table[0])), visible

    def _embed_shown(
        self, images: Float[Tensor, "B C H W"], grid: tuple[int, int], patch_mask: Bool[Tensor, "B _"]
    ) -> Float[Tensor, "B N D"]:
        """Patch tokens from convolutions, which see beyond their patches.

        Pixels of hidden patches become the mean colour first, so that nothing of them reaches their neighbours.
        """
        if not self.replaces_patches:
            raise ValueError("hidden patches can be left out of a linear stem alone: convolutions see beyond theirs")
        check_mask(patch_mask, images.new_empty(len(images), grid[0] * grid[1], 0), grid)
        shown = images.masked_fill(hidden_pixels(patch_mask, images, self.patch_size), 0)
        return self.hiding(self.patch_embedding.whole(shown), patch_mask, nn.Identity())[0]

    def _rotation(
        self, grid: tuple[int, int], patches: Float[Tensor, "B N D"], visible: Int64[Tensor, "B N"] | None
    ) -> Rotation | None:
        """Rotary positions of prefix and patches, where the trunk has them."""
        rotation = self.positions.rotation(grid, patches.dtype, patches.device)
        if rotation is None:
            return None
        there = rotation if visible is None else rotation.at(visible)
        return there.after(self.prefix.num_tokens)

    def _features(
        self,
        normed: Float[Tensor, "B _ D"],
        grid: tuple[int, int],
        visible: Int64[Tensor, "B _"] | None,
        intermediates: tuple[Features, ...],
    ) -> Features:
        num_prefix = self.prefix.num_tokens
        return Features(
            prefix=normed[:, :num_prefix],
            patches=normed[:, num_prefix:],
            grid=grid,
            num_class_tokens=self.prefix.num_class_tokens,
            visible=visible,
            intermediates=intermediates,
        )

    def _block_indices(self, layers: Sequence[int]) -> list[int]:
        depth = len(self.blocks)
        for layer in layers:
            if not -depth <= layer < depth:
                raise ValueError(f"layers must be from {-depth} to {depth - 1}, but {layer} came")
        return [layer % depth for layer in layers]


class Config(BlockSettings, ChannelSettings):
    """Settings of a vision transformer; see `BlockSettings` for its blocks, `ChannelSettings` for mean and std.

    Attributes:
        family: the kind of trunk. Each has settings of its own; name one together with `--help` to see them.
        size: named width, depth and heads.
        embed_dim: width of the tokens; replaces that of `size`.
        depth: number of blocks; replaces that of `size`.
        num_heads: attention heads per block; replaces that of `size`.
        image_size: side in pixels of the pictures it is made for; a multiple of `patch_size`. A recipe fits it to the
            data where it is not given.
        patch_size: side of a patch in pixels. A recipe fits it to `image_size` where it is not given.
        stem: how patches become tokens: linear (default), convolutions or resnet (the hybrid).
        cls_token: whether there is a class token.
        num_register_tokens: registers after the class token.
        positions: learned (default), sincos or rotary.
        hiding: what a `patch_mask` does: patches are left out (default) or replaced by a mask token.
        pre_norm: whether there is a norm before the first block (CLIP).
        final_norm: whether there is one after the last.
        initialisation: of the linear maps: normal (default) or xavier.
    """

    family: Literal["vit"] = "vit"
    size: Size = "pico"
    embed_dim: int | None = Field(default=None, gt=0)
    depth: int | None = Field(default=None, gt=0)
    num_heads: int | None = Field(default=None, gt=0)
    image_size: int = Field(default=224, gt=0, le=4096)
    patch_size: int = Field(default=16, gt=0)
    stem: AnyStem = Linear()
    cls_token: bool = True
    num_register_tokens: int = Field(default=0, ge=0)
    positions: AnyPositions = Learned()
    hiding: AnyHiding = LeftOut()
    pre_norm: bool = False
    final_norm: bool = True
    initialisation: AnyInitialisation = Normal()

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        width, heads = self.shape.embed_dim, self.shape.num_heads
        if width % heads:
            raise InputError("a num_heads that divides embed_dim", f"{heads} does not divide {width}", "change one")
        # Where one of both is given, a recipe may still choose the other; `build` looks again.
        open_still = len(self.model_fields_set & {"image_size", "patch_size"}) == 1
        if self.image_size % self.patch_size and not open_still:
            raise InputError(
                f"an image_size that is a multiple of patch_size, {self.patch_size}",
                f"{self.image_size} came",
                "change one",
            )
        return self

    @property
    def shape(self) -> Shape:
        """Width, depth and heads after the overrides."""
        named = SIZES[self.size]
        return Shape(self.embed_dim or named.embed_dim, self.depth or named.depth, self.num_heads or named.num_heads)

    def usual_patch_size(self, image_size: int) -> int:
        """A patch that cuts a picture into 16 to 196 tokens.

        Coarse on purpose, so that a small trunk on a CPU sees every picture several times within minutes. For long runs
        smaller patches are worth their time.
        """
        return 8 if image_size <= 64 else 16

    def build(self) -> VisionTransformer:
        """Make the trunk; its weights are drawn from PyTorch's generator.

        Raises:
            InputError: patches of this size do not fill the picture, or the positions do not go with the width or the
                heads.
        """
        width = self.shape.embed_dim
        grid = grid_of(self.image_size, self.image_size, self.patch_size)
        trunk = VisionTransformer(
            image_size=self.image_size,
            patch_size=self.patch_size,
            patch_embedding=self.stem.build(len(self.mean), self.patch_size, width),
            hiding=self.hiding.build(width),
            positions=self.positions.build(grid, width, self.shape.num_heads),
            prefix=PrefixTokens(width, int(self.cls_token), self.num_register_tokens),
            pre_norm=self._norm() if self.pre_norm else nn.Identity(),
            blocks=self.build_blocks(width, self.shape.depth, self.shape.num_heads),
            norm=self._norm() if self.final_norm else nn.Identity(),
            mean=self.mean,
            std=self.std,
        )
        initialise(trunk, self.initialisation)
        return trunk

    def _norm(self) -> nn.Module:
        return nn.LayerNorm(self.shape.embed_dim, eps=self.norm_eps)
