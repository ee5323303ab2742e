"""The multimodal decoder of CoCa: vectors of the tokens of a text and tokens of a picture in, what comes next out.

It does not read the text itself: it goes on from what a text trunk has made of every token.

Paper: Yu et al., 2022, arXiv 2205.01917, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.attention import attend_back
from chiasm.layers.block import Block, BlockSettings
from chiasm.layers.cross_attention import CrossAttention, Shown
from chiasm.layers.cross_block import CrossBlock
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.mlp import AnyMlp, GeluMlp
from chiasm.layers.residual import LayerScale


class MultimodalDecoder(nn.Module):
    """Blocks in which each token looks back, each followed by one in which it looks at the picture.

    Args:
        blocks: of the text.
        cross_blocks: of the picture, as many.
        norm: after the last block.
        projection: vectors to logits of tokens.
    """

    def __init__(
        self, *, blocks: Sequence[Block], cross_blocks: Sequence[CrossBlock], norm: nn.Module, projection: nn.Linear
    ) -> None:
        super().__init__()
        self.vocab_size = projection.out_features
        self.blocks = nn.ModuleList(blocks)
        self.cross_blocks = nn.ModuleList(cross_blocks)
        self.norm = norm
        self.projection = projection

    def show(self, tokens: Float[Tensor, "B N _"]) -> tuple[Shown, ...]:
        """The tokens of pictures as each block sees them."""
        return tuple(block.show(tokens) for block in self.cross_blocks if isinstance(block, CrossBlock))

    def read(
        self, vectors: Float[Tensor, "B T D"], shown: Sequence[Shown], arrangement: Arrangement = SEPARATE
    ) -> Float[Tensor, "B T D"]:
        """Vectors of tokens that have looked at the text and at the picture, as `logits` takes them.

        Args:
            vectors: of the tokens, as the text trunk made them.
            shown: the picture of each text, as `show` made it.
            arrangement: what came before; see `layers.memory`.
        """
        for block, cross_block, picture in zip(self.blocks, self.cross_blocks, shown, strict=True):
            vectors = cross_block(block(vectors, arrangement), picture)
        return self.norm(vectors)

    def logits(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits of the token after each of the tokens that `read` returned."""
        return self.projection(vectors)

    def forward(self, vectors: Float[Tensor, "B T D"], pictures: Float[Tensor, "B N _"]) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token of whole texts.

        Args:
            vectors: of the tokens, as the text trunk made them.
            pictures: tokens of the picture of each text.
        """
        return self.logits(self.read(vectors, self.show(pictures)))


class Config(BaseConfig):
    """Settings of a multimodal decoder, as wide as the text trunk that it goes on from.

    Attributes:
        depth: pairs of blocks.
        num_heads: attention heads per block.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        layer_scale: initial value of the gain after each part of a block; None for no such gain.
        norm_eps: of all layer norms.
    """

    depth: int = Field(default=12, gt=0)
    num_heads: int = Field(default=8, gt=0)
    mlp: AnyMlp = GeluMlp()
    layer_scale: float | None = None
    norm_eps: float = Field(default=1e-5, gt=0)

    def build(self, embed_dim: int, picture_dim: int, vocab_size: int) -> MultimodalDecoder:
        """Make the head; its weights are drawn from PyTorch's generator.

        Args:
            embed_dim: width of the vectors of tokens.
            picture_dim: width of the tokens of pictures.
            vocab_size: how many different tokens there are.

        Raises:
            InputError: the heads do not divide the width.
        """
        if embed_dim % self.num_heads:
            came = f"{self.num_heads} does not divide {embed_dim}"
            raise InputError("a num_heads of the decoder that divides the width of the text trunk", came, "change one")
        settings = BlockSettings(mlp=self.mlp, layer_scale=self.layer_scale, norm_eps=self.norm_eps)
        decoder = MultimodalDecoder(
            blocks=settings.build_blocks(embed_dim, self.depth, self.num_heads, attend_back),
            cross_blocks=[self._cross_block(embed_dim, picture_dim) for _ in range(self.depth)],
            norm=self._norm(embed_dim),
            projection=nn.Linear(embed_dim, vocab_size, bias=False),
        )
        initialise(decoder, Normal())
        return decoder

    def _cross_block(self, width: int, picture_dim: int) -> CrossBlock:
        return CrossBlock(
            attention_norm=self._norm(width),
            shown_norm=self._norm(picture_dim),
            attention=CrossAttention(
                self.num_heads, nn.Linear(width, width), nn.Linear(picture_dim, 2 * width), nn.Linear(width, width)
            ),
            attention_scale=self._scale(width),
            mlp_norm=self._norm(width),
            mlp=self.mlp.build(width),
            mlp_scale=self._scale(width),
        )

    def _norm(self, width: int) -> nn.Module:
        return nn.LayerNorm(width, eps=self.norm_eps)

    def _scale(self, width: int) -> nn.Module:
        return nn.Identity() if self.layer_scale is None else LayerScale(width, self.layer_scale)
