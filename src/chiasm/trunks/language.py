"""The causal language model: GPT-NeoX (Pythia, RedPajama-INCITE) and MPT are cases of it.

Paper: Black et al., 2022, arXiv 2204.06745, section 2.1 (GPT-NeoX); MosaicML, 2023, "Introducing MPT-7B" (no biases,
ALiBi).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.protocols import TextTrunk, TextTrunkConfig
from chiasm.layers.arrangement import Separate
from chiasm.layers.attention import Attention
from chiasm.layers.block import Block
from chiasm.layers.initialise import AnyInitialisation, Normal, initialise
from chiasm.layers.memory import Memory
from chiasm.layers.mlp import AnyMlp, GeluMlp
from chiasm.layers.parallel_block import ParallelBlock
from chiasm.layers.residual import DropPath
from chiasm.layers.text_positions import AnyTextPositions, Rotary, TextPositions

Before = Callable[[Tensor], Tensor]
"""What the vectors of a text pass before a block."""


class LanguageTransformer(TextTrunk):
    """A vector per token, blocks in which tokens look back, a final norm.

    Args:
        token_embedding: a vector for each token of the vocabulary.
        context_length: most tokens of a text.
        positions: how tokens know their distances.
        blocks: the blocks.
        norm: after the last block.
    """

    looks_back = True

    def __init__(
        self,
        *,
        token_embedding: nn.Embedding,
        context_length: int,
        positions: TextPositions,
        blocks: Sequence[Block],
        norm: nn.Module,
    ) -> None:
        super().__init__()
        self.vocab_size = token_embedding.num_embeddings
        self.embed_dim = token_embedding.embedding_dim
        self.context_length = context_length
        self.positions = positions
        self.token_embedding = token_embedding
        nn.init.normal_(token_embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(
        self, tokens: Int64[Tensor, "B T"], memory: Memory | None = None, before: Sequence[Before] = ()
    ) -> Float[Tensor, "B T D"]:
        """Encode texts of at most `context_length` tokens, each from 0 to `vocab_size` - 1.

        Args:
            tokens: their numbers; what fills up comes last.
            memory: of the tokens before these, to which they are added; None for whole texts.
            before: what the vectors pass before each block, one for each (Flamingo); empty for nothing.

        Raises:
            ValueError: there are more tokens.
        """
        first = 0 if memory is None else memory.length
        num_new = tokens.shape[1]
        if first + num_new > self.context_length:
            raise ValueError(f"texts must be at most {self.context_length} tokens long, but {first + num_new} came")
        vectors = self.token_embedding(tokens)
        rotation = self.positions.rotation(first, num_new, vectors)
        arrangement = Separate(rotation) if memory is None else memory.after(num_new, rotation=rotation)
        for block, pass_first in zip(self.blocks, before or [_unchanged] * len(self.blocks), strict=True):
            vectors = block(pass_first(vectors), arrangement)
        return self.norm(vectors)


def _unchanged(vectors: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
    return vectors


class Config(TextTrunkConfig):
    """Settings of a causal language model.

    Attributes:
        vocab_size: how many different tokens there are.
        context_length: most tokens of a text.
        embed_dim: width of the vectors.
        depth: number of blocks.
        num_heads: attention heads per block.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        positions: rotary (default) or alibi.
        parallel: whether both parts of a block see what came in (GPT-NeoX), or the second what the first made.
        attention_bias: whether the linear maps of the attention have a bias.
        norm_bias: whether the norms have one.
        norm_eps: of all layer norms.
        initialisation: of the linear maps: normal (default) or xavier.
    """

    vocab_size: int = Field(default=50_432, gt=0)
    context_length: int = Field(default=2048, gt=0)
    embed_dim: int = Field(default=512, gt=0)
    depth: int = Field(default=6, gt=0)
    num_heads: int = Field(default=8, gt=0)
    mlp: AnyMlp = GeluMlp()
    positions: AnyTextPositions = Rotary()
    parallel: bool = True
    attention_bias: bool = True
    norm_bias: bool = True
    norm_eps: float = Field(default=1e-5, gt=0)
    initialisation: AnyInitialisation = Normal()

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        width, heads = self.embed_dim, self.num_heads
        if width % heads:
            raise InputError("a num_heads that divides embed_dim", f"{heads} does not divide {width}", "change one")
        return self

    def build(self) -> LanguageTransformer:
        """Make the trunk; its weights are drawn from PyTorch's generator.

        Raises:
            InputError: the positions do not go with the width of the heads.
        """
        positions = self.positions.build(self.embed_dim, self.num_heads)
        trunk = LanguageTransformer(
            token_embedding=nn.Embedding(self.vocab_size, self.embed_dim),
            context_length=self.context_length,
            positions=positions,
            blocks=[self._block(positions) for _ in range(self.depth)],
            norm=self._norm(),
        )
        initialise(trunk, self.initialisation)
        return trunk

    def _block(self, positions: TextPositions) -> Block:
        width, bias = self.embed_dim, self.attention_bias
        return (ParallelBlock if self.parallel else Block)(
            attention_norm=self._norm(),
            attention=Attention(
                self.num_heads,
                query_key_value=nn.Linear(width, 3 * width, bias=bias),
                projection=nn.Linear(width, width, bias=bias),
                look=positions.look,
            ),
            attention_scale=nn.Identity(),
            mlp_norm=self._norm(),
            mlp=self.mlp.build(width),
            mlp_scale=nn.Identity(),
            drop_path=DropPath(0.0),
        )

    def _norm(self) -> nn.Module:
        return nn.LayerNorm(self.embed_dim, eps=self.norm_eps, bias=self.norm_bias)
