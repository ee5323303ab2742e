"""Visible tokens into the pixels of hidden patches: the decoder of a masked autoencoder.

Paper: He et al., 2021, arXiv 2111.06377, section 3, "MAE decoder", and appendix A.1.
Differs: tokens are not put back into the order of the picture, which attention does not see: positions tell where a
token is. Registers are seen like the class token, without a position. The size follows the trunk's and the patch's; see
`Config`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.core.protocols import Trunk
from chiasm.layers.block import Block, BlockSettings
from chiasm.layers.initialise import Xavier, initialise
from chiasm.layers.positions import SinCos, SinCosPositions

HEAD_DIM = 32
"""Width of an attention head in the paper's decoder: 512 / 16."""
MOST_DIM, MOST_DEPTH = 512, 8
"""The paper's decoder, which suits its largest trunks."""
NUM_CHANNELS = 3


class MaskedDecoder(nn.Module):
    """A narrow transformer over the visible tokens and a mask token for each hidden patch.

    Args:
        embed_dim: width of the trunk's tokens.
        positions: fixed ones, of the decoder's own width.
        blocks: of that width.
        norm_eps: of the norm after them.
        patch_size: side of a patch in pixels.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        positions: SinCosPositions,
        blocks: Sequence[Block],
        norm_eps: float,
        patch_size: int,
    ) -> None:
        super().__init__()
        width = positions.embed_dim
        self.embedding = nn.Linear(embed_dim, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = positions
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.projection = nn.Linear(width, NUM_CHANNELS * patch_size * patch_size)
        initialise(self, Xavier())
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, features: Features, hidden: Int64[Tensor, "B _"]) -> Float[Tensor, "B _ _"]:
        """Predicted pixels of the hidden patches, in the order of `ops.patches.patchify`.

        Args:
            features: of the patches that are visible.
            hidden: positions of the others, equally many of every picture.

        Raises:
            ValueError: the features are those of whole pictures.
        """
        if features.visible is None:
            raise ValueError("a masked decoder needs features of which some are hidden; give the trunk a patch_mask")
        patches = self.embedding(features.patches)
        table = self.positions.added(features.grid, patches)[0]
        tokens = torch.cat(
            [
                self.embedding(features.prefix),
                patches + functional.embedding(features.visible, table),
                self.mask_token.to(patches.dtype) + functional.embedding(hidden, table),
            ],
            dim=1,
        )
        for block in self.blocks:
            tokens = block(tokens)
        return self.projection(self.norm(tokens[:, -hidden.shape[1] :]))


class Config(BlockSettings):
    """Settings of a masked decoder; see `BlockSettings` for its blocks.

    The size is chosen where it is not given. Its width is half the trunk's, but at least a third of the numbers of a
    patch, which can hold 97 to 99 % of the variance of normalised patches, and at most 512. Its depth is a third of the
    trunk's, and at most 8. That is the paper's 512 x 8 for ViT-L, where at three quarters hidden the decoder does a
    third of the encoder's work; for ViT-S, where 512 x 8 would be four times the encoder's, it is 256 x 4.

    Attributes:
        embed_dim: width of the tokens, a multiple of 4.
        depth: number of blocks.
        num_heads: attention heads per block; about 32 wide each where not given.
    """

    embed_dim: int | None = Field(default=None, gt=0, multiple_of=4)
    depth: int | None = Field(default=None, gt=0)
    num_heads: int | None = Field(default=None, gt=0)

    def build(self, trunk: Trunk) -> MaskedDecoder:
        """Make the decoder for a trunk; its weights are drawn from PyTorch's generator.

        Raises:
            InputError: the heads do not divide the width.
        """
        width = self.embed_dim or fitting_dim(trunk.embed_dim, trunk.patch_size)
        depth = self.depth or fitting_depth(len(trunk.levels()) - 2)
        heads = self.num_heads or fitting_heads(width)
        if width % heads:
            came = f"{heads} does not divide {width}"
            raise InputError("a num_heads of the decoder that divides its embed_dim", came, "change one")
        side = trunk.image_size // trunk.patch_size
        positions = SinCos().build((side, side), width, heads)
        return MaskedDecoder(
            embed_dim=trunk.embed_dim,
            positions=positions,
            blocks=self.build_blocks(width, depth, heads),
            norm_eps=self.norm_eps,
            patch_size=trunk.patch_size,
        )


def fitting_dim(trunk_dim: int, patch_size: int) -> int:
    """The width for a trunk's width and patch: a multiple of that of a head."""
    least = max(trunk_dim / 2, patch_size * patch_size * NUM_CHANNELS / 3)
    return min(MOST_DIM, -(-int(least) // HEAD_DIM) * HEAD_DIM)


def fitting_heads(width: int) -> int:
    """The most heads that divide a width and are not narrower than the paper's."""
    return max((count for count in range(1, width // HEAD_DIM + 1) if width % count == 0), default=1)


def fitting_depth(trunk_depth: int) -> int:
    """The depth for a trunk of so many blocks."""
    return max(1, min(MOST_DEPTH, round(trunk_depth / 3)))
