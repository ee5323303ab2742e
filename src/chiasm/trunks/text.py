"""The text transformer: the text sides of CLIP and SigLIP are cases of it.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4 (tokens look back only); Zhai et al., 2023, arXiv 2303.15343,
section 3 (all tokens see all, padding too).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.protocols import TextTrunk, TextTrunkConfig
from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.attention import attend, attend_back
from chiasm.layers.block import Block, BlockSettings
from chiasm.layers.initialise import AnyInitialisation, Normal, initialise


class TextBlocks(TextTrunk):
    """What all text transformers share: a vector per token, learned positions, pre-norm blocks.

    Args:
        token_embedding: a vector for each token of the vocabulary.
        context_length: most tokens of a text.
        blocks: the blocks.
        looks_back: whether their tokens see only those before them.
        norm: after the last block.
    """

    def __init__(
        self,
        *,
        token_embedding: nn.Embedding,
        context_length: int,
        blocks: Sequence[Block],
        looks_back: bool,
        norm: nn.Module,
    ) -> None:
        super().__init__()
        self.vocab_size = token_embedding.num_embeddings
        self.embed_dim = token_embedding.embedding_dim
        self.context_length = context_length
        self.looks_back = looks_back
        self.token_embedding = token_embedding
        self.positions = nn.Parameter(torch.empty(context_length, self.embed_dim))
        nn.init.normal_(token_embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def unnormed(self, tokens: Int64[Tensor, "B T"], arrangement: Arrangement = SEPARATE) -> Float[Tensor, "B T D"]:
        """The vectors of tokens before the final norm.

        Args:
            tokens: their numbers.
            arrangement: padding, or what came before; see `layers.memory`.

        Raises:
            ValueError: there are more than `context_length`.
        """
        return self._through(self._placed(self.token_embedding(tokens), arrangement.first), arrangement)

    def _placed(self, vectors: Float[Tensor, "B T D"], first: int) -> Float[Tensor, "B T D"]:
        """Vectors with their positions, the first of which is given."""
        length = first + vectors.shape[1]
        if length > self.context_length:
            raise ValueError(f"texts must be at most {self.context_length} tokens long, but {length} came")
        return vectors + self.positions[first:length]

    def _through(self, vectors: Float[Tensor, "B T D"], arrangement: Arrangement) -> Float[Tensor, "B T D"]:
        for block in self.blocks:
            vectors = block(vectors, arrangement)
        return vectors


class TextTransformer(TextBlocks):
    """A vector per token and a final norm."""

    def forward(self, tokens: Int64[Tensor, "B T"], arrangement: Arrangement = SEPARATE) -> Float[Tensor, "B T D"]:
        """Encode texts of at most `context_length` tokens, each from 0 to `vocab_size` - 1.

        Args:
            tokens: their numbers.
            arrangement: padding, or what came before; see `layers.memory`.

        Raises:
            ValueError: there are more tokens.
        """
        return self.encode(self.token_embedding(tokens), arrangement)

    def encode(self, vectors: Float[Tensor, "B T D"], arrangement: Arrangement = SEPARATE) -> Float[Tensor, "B T D"]:
        """The same of vectors that stand where those of tokens do, positions not yet added; some may be learned.

        Raises:
            ValueError: there are more than `context_length`.
        """
        return self.norm(self._through(self._placed(vectors, arrangement.first), arrangement))


class TextSettings(BlockSettings, TextTrunkConfig):
    """Settings that all text transformers share; those of their blocks are described in `BlockSettings`.

    Attributes:
        vocab_size: how many different tokens there are.
        context_length: most tokens of a text.
        embed_dim: width of the vectors.
        depth: number of blocks.
        num_heads: attention heads per block.
        initialisation: of the linear maps: normal (default) or xavier.
    """

    vocab_size: int = Field(default=49_408, gt=0)
    context_length: int = Field(default=77, gt=0)
    embed_dim: int = Field(default=512, gt=0)
    depth: int = Field(default=12, gt=0)
    num_heads: int = Field(default=8, gt=0)
    initialisation: AnyInitialisation = Normal()

    @model_validator(mode="after")
    def _fits_together(self) -> TextSettings:
        width, heads = self.embed_dim, self.num_heads
        if width % heads:
            raise InputError("a num_heads that divides embed_dim", f"{heads} does not divide {width}", "change one")
        return self


class Config(TextSettings):
    """Settings of a text transformer; see `TextSettings`.

    Attributes:
        looks_back: whether a token sees only those before it (CLIP) or all (SigLIP).
    """

    looks_back: bool = True

    def build(self) -> TextTransformer:
        """Make the trunk; its weights are drawn from PyTorch's generator."""
        look = attend_back if self.looks_back else attend
        trunk = TextTransformer(
            token_embedding=nn.Embedding(self.vocab_size, self.embed_dim),
            context_length=self.context_length,
            blocks=self.build_blocks(self.embed_dim, self.depth, self.num_heads, look),
            looks_back=self.looks_back,
            norm=nn.LayerNorm(self.embed_dim, eps=self.norm_eps),
        )
        initialise(trunk, self.initialisation)
        return trunk
