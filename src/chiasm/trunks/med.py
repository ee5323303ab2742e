"""MED, BLIP's text transformer: BERT that reads a text alone, reads it while it looks at a picture, or writes it.

Which of the three it does is no setting of its own: it is shown a picture or not, and its tokens see all others or only
those before them.

Paper: Li et al., 2022, arXiv 2201.12086, section 3.1; Devlin et al., 2018, arXiv 1810.04805, section 3 and appendix A.2
(BERT, its widths and initial weights).
Differs: tokens have no segments (the authors' code has none either); nothing is dropped in training, where the authors
drop a tenth of the weights of attention and of what each part adds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.protocols import TextTrunk, TextTrunkConfig
from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.attention import Attention, attend, attend_back
from chiasm.layers.cross_attention import CrossAttention, Shown
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.med_block import MedBlock
from chiasm.layers.memory import Padded
from chiasm.layers.mlp import AnyMlp, GeluMlp


class Med(TextTrunk):
    """A vector per token: learned positions, a norm, post-norm blocks.

    Attributes:
        shown_dim: width of the tokens that it can look at.

    Args:
        token_embedding: a vector for each token of the vocabulary.
        context_length: most tokens of a text.
        padding: number of the token that short texts are filled up with; nobody looks at it.
        norm: after the positions were added.
        blocks: the blocks.
        looks_back: whether their tokens see only those before them.
    """

    def __init__(
        self,
        *,
        token_embedding: nn.Embedding,
        context_length: int,
        padding: int,
        norm: nn.Module,
        blocks: Sequence[MedBlock],
        looks_back: bool,
    ) -> None:
        super().__init__()
        self.vocab_size = token_embedding.num_embeddings
        self.embed_dim = token_embedding.embedding_dim
        self.context_length = context_length
        self.padding = padding
        self.shown_dim = blocks[0].cross_attention.key_value.in_features
        self.looks_back = looks_back
        self.token_embedding = token_embedding
        self.positions = nn.Parameter(torch.empty(context_length, self.embed_dim))
        nn.init.normal_(token_embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)
        self.norm = norm
        self.blocks = nn.ModuleList(blocks)

    def share(self, other: Med) -> None:
        """Take over all parts of another but its tokens' attention to each other (section 3.2)."""
        self.token_embedding, self.positions, self.norm = other.token_embedding, other.positions, other.norm
        for own, its in zip(self.blocks, other.blocks, strict=True):
            for part in ("cross_attention", "cross_norm", "mlp", "mlp_norm"):
                setattr(own, part, getattr(its, part))

    def real(self, tokens: Int64[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Which tokens are no padding."""
        return tokens != self.padding

    def lengths(self, tokens: Int64[Tensor, "B T"], places: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
        return super().lengths(tokens, places) if self.looks_back else self.real(tokens).sum(dim=1)

    def show(self, tokens: Float[Tensor, "B N _"], real: Bool[Tensor, "B N"] | None = None) -> tuple[Shown, ...]:
        """Tokens of a picture, or of another text, as each block sees them.

        Args:
            tokens: what is looked at.
            real: which of them are no padding; None for all.
        """
        seen = None if real is None else real[:, None, None, :]
        return tuple(block.cross_attention.show(tokens, seen) for block in self.blocks if isinstance(block, MedBlock))

    def forward(
        self,
        tokens: Int64[Tensor, "B T"],
        shown: Sequence[Shown | None] = (),
        arrangement: Arrangement | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Read texts of at most `context_length` tokens, each from 0 to `vocab_size` - 1.

        Args:
            tokens: their numbers; padding comes last.
            shown: what `show` made of the pictures; empty where the texts are read alone.
            arrangement: what came before; see `layers.memory`. None for whole texts.

        Raises:
            ValueError: there are more tokens.
        """
        if arrangement is None:
            # Padding comes last: who looks back never sees it.
            arrangement = SEPARATE if self.looks_back else Padded(self.real(tokens))
        first, length = arrangement.first, arrangement.first + tokens.shape[1]
        if length > self.context_length:
            raise ValueError(f"texts must be at most {self.context_length} tokens long, but {length} came")
        vectors = self.norm(self.token_embedding(tokens) + self.positions[first:length])
        for block, picture in zip(self.blocks, shown or (None,) * len(self.blocks), strict=True):
            vectors = block(vectors, picture, arrangement)
        return vectors


class Settings(BaseConfig):
    """What reading and writing have in common.

    Attributes:
        vocab_size: how many different tokens there are.
        context_length: most tokens of a text.
        padding: number of the token that short texts are filled up with.
        embed_dim: width of the vectors.
        depth: number of blocks.
        num_heads: attention heads per block.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        norm_eps: of all layer norms.
    """

    vocab_size: int = Field(default=30_524, gt=0)
    context_length: int = Field(default=512, gt=0)
    padding: int = Field(default=0, ge=0)
    embed_dim: int = Field(default=768, gt=0)
    depth: int = Field(default=12, gt=0)
    num_heads: int = Field(default=12, gt=0)
    mlp: AnyMlp = GeluMlp()
    norm_eps: float = Field(default=1e-12, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        width, heads = self.embed_dim, self.num_heads
        if width % heads:
            raise InputError("a num_heads that divides embed_dim", f"{heads} does not divide {width}", "change one")
        return self

    def trunk(self, shown_dim: int, *, looks_back: bool) -> Med:
        """Make the trunk; its weights are drawn from PyTorch's generator.

        Args:
            shown_dim: width of the tokens that are looked at.
            looks_back: whether tokens of the text see only those before them.
        """
        look = attend_back if looks_back else attend
        trunk = Med(
            token_embedding=nn.Embedding(self.vocab_size, self.embed_dim),
            context_length=self.context_length,
            padding=self.padding,
            norm=self.norm(),
            blocks=[
                MedBlock(
                    attention=Attention(self.num_heads, self._linear(3), self._linear(1), look),
                    attention_norm=self.norm(),
                    cross_attention=CrossAttention(
                        self.num_heads, self._linear(1), nn.Linear(shown_dim, 2 * self.embed_dim), self._linear(1)
                    ),
                    cross_norm=self.norm(),
                    mlp=self.mlp.build(self.embed_dim),
                    mlp_norm=self.norm(),
                )
                for _ in range(self.depth)
            ],
            looks_back=looks_back,
        )
        initialise(trunk, Normal())
        return trunk

    def norm(self) -> nn.LayerNorm:
        """A norm of the width of the vectors."""
        return nn.LayerNorm(self.embed_dim, eps=self.norm_eps)

    def _linear(self, times: int) -> nn.Linear:
        return nn.Linear(self.embed_dim, times * self.embed_dim)


class Config(Settings, TextTrunkConfig):
    """Settings of a MED that reads; those that it shares with one that writes are described in `Settings`.

    Attributes:
        shown_dim: width of the tokens that are looked at.
    """

    shown_dim: int = Field(default=768, gt=0)

    def build(self) -> Med:
        """Make the trunk; its weights are drawn from PyTorch's generator."""
        return self.trunk(self.shown_dim, looks_back=False)
