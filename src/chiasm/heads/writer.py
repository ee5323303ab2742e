"""The writer: features of a picture and the beginning of a text in, what token comes next out.

Captions and answers are both texts that go on from a beginning, so one head writes them (Cho et al., 2021, arXiv
2102.02779, section 3; Wang et al., 2022, arXiv 2205.14100, section 3: question and answer as one text).

Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3 (the decoder); Press and Wolf, 2016, arXiv 1608.05859 (tokens
are read and written by the same table).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.attention import Attention, attend_back
from chiasm.layers.cross_attention import CrossAttention, Shown
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.memory import Memory
from chiasm.layers.mlp import AnyMlp, GeluMlp
from chiasm.layers.reading_block import ReadingBlock
from chiasm.ops.token_logits import token_logits
from chiasm.ops.writing import Step


class Writer(nn.Module):
    """A decoder that looks at all tokens of a picture.

    Args:
        token_embedding: a vector for each token of the vocabulary; also what vectors are compared with in the end.
        context_length: most tokens of a text, its beginning counted.
        blocks: the blocks.
        norm: after the last block.
    """

    def __init__(
        self, *, token_embedding: nn.Embedding, context_length: int, blocks: Sequence[ReadingBlock], norm: nn.Module
    ) -> None:
        super().__init__()
        self.vocab_size = token_embedding.num_embeddings
        self.context_length = context_length
        self.token_embedding = token_embedding
        self.positions = nn.Parameter(torch.empty(context_length, token_embedding.embedding_dim))
        nn.init.normal_(token_embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(self, features: Features, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token of texts, one text a picture.

        Args:
            features: of the pictures.
            tokens: of at most `context_length`, each from 0 to `vocab_size` - 1; what fills up comes last.

        Raises:
            ValueError: there are more tokens.
        """
        return self._logits(self._read(tokens, self._shown(features), SEPARATE))

    def begin(self, features: Features) -> Step:
        """What writes about pictures; every token is computed once, the pictures' keys and values too.

        Args:
            features: of the pictures.
        """
        shown, memory = self._shown(features), Memory()

        def step(tokens: Int64[Tensor, "B Q"], rows: Int64[Tensor, " B"] | None) -> Float[Tensor, "B V"]:
            nonlocal shown
            if rows is not None:
                shown = tuple(each.of(rows) for each in shown)
                memory.choose(rows)
            return self._logits(self._read(tokens, shown, memory.after(tokens.shape[1]))[:, -1])

        return step

    def _shown(self, features: Features) -> tuple[Shown, ...]:
        """The picture as each block sees it."""
        return tuple(
            block.cross_attention.show(features.tokens) for block in self.blocks if isinstance(block, ReadingBlock)
        )

    def _read(
        self, tokens: Int64[Tensor, "B T"], shown: Sequence[Shown], arrangement: Arrangement
    ) -> Float[Tensor, "B T D"]:
        first, length = arrangement.first, arrangement.first + tokens.shape[1]
        if length > self.context_length:
            raise ValueError(f"texts must be at most {self.context_length} tokens long, but {length} came")
        vectors = self.token_embedding(tokens) + self.positions[first:length]
        for block, picture in zip(self.blocks, shown, strict=True):
            vectors = block(vectors, picture, arrangement)
        return self.norm(vectors)

    def _logits(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        return token_logits(vectors, self.token_embedding.weight)


class Config(BaseConfig):
    """Settings of a writer.

    Attributes:
        vocab_size: how many different tokens there are.
        context_length: most tokens of a text, its beginning counted.
        embed_dim: width of the vectors of tokens.
        depth: number of blocks.
        num_heads: attention heads per block.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        norm_eps: of all layer norms.
    """

    vocab_size: int = Field(default=4096, gt=0)
    context_length: int = Field(default=64, gt=0)
    embed_dim: int = Field(default=256, gt=0)
    depth: int = Field(default=4, gt=0)
    num_heads: int = Field(default=4, gt=0)
    mlp: AnyMlp = GeluMlp()
    norm_eps: float = Field(default=1e-6, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        if self.embed_dim % self.num_heads:
            came = f"{self.num_heads} does not divide {self.embed_dim}"
            raise InputError("a num_heads of the writer that divides its embed_dim", came, "change one")
        return self

    def build(self, picture_dim: int) -> Writer:
        """Make the head for a trunk; its weights are drawn from PyTorch's generator.

        Args:
            picture_dim: width of the trunk's tokens.
        """
        writer = Writer(
            token_embedding=nn.Embedding(self.vocab_size, self.embed_dim),
            context_length=self.context_length,
            blocks=[self._block(picture_dim) for _ in range(self.depth)],
            norm=nn.LayerNorm(self.embed_dim, eps=self.norm_eps),
        )
        initialise(writer, Normal())
        return writer

    def _block(self, picture_dim: int) -> ReadingBlock:
        width, heads = self.embed_dim, self.num_heads
        return ReadingBlock(
            attention_norm=nn.LayerNorm(width, eps=self.norm_eps),
            attention=Attention(heads, nn.Linear(width, 3 * width), nn.Linear(width, width), attend_back),
            cross_norm=nn.LayerNorm(width, eps=self.norm_eps),
            cross_attention=CrossAttention(
                heads, nn.Linear(width, width), nn.Linear(picture_dim, 2 * width), nn.Linear(width, width)
            ),
            mlp_norm=nn.LayerNorm(width, eps=self.norm_eps),
            mlp=self.mlp.build(width),
        )
