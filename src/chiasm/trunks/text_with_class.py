"""A text transformer that puts a class token after the text: the unimodal text side of CoCa.

All tokens look back only, so that what a token means does not depend on what follows: the vectors of the tokens are
there for a decoder that writes, the vector of the class token stands for the whole text.

Paper: Yu et al., 2022, arXiv 2205.01917, section 3.2.
Differs: the class token has no position of its own (it would only be added to the token). It stands after a text that
is filled up to `context_length`, whether the padding is there or has been cut off; open_clip 3.3 gives it the position
after the tokens that are there, which is the same for the texts that its tokenizer makes. As in that code, padding is
told by its number alone (CLIP's number 0 is also the word "!") and is hidden from all tokens, and its released weights
want a mask that stands one place too late; see `Config`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.layers.attention import attend_back
from chiasm.layers.block import Block
from chiasm.layers.initialise import initialise
from chiasm.layers.memory import Padded
from chiasm.trunks.text import TextBlocks, TextSettings


class TextWithClass(TextBlocks):
    """Tokens and a class token after them.

    Args:
        token_embedding: a vector for each token of the vocabulary.
        context_length: most tokens of a text, the class token not counted.
        blocks: the blocks, whose tokens see only those before them.
        norm: after the last block.
        padding: number of the token that short texts are filled up with.
        mask_is_late: whether a place is hidden when the token before it is padding, not when its own is.
    """

    def __init__(
        self,
        *,
        token_embedding: nn.Embedding,
        context_length: int,
        blocks: Sequence[Block],
        norm: nn.Module,
        padding: int,
        mask_is_late: bool,
    ) -> None:
        super().__init__(
            token_embedding=token_embedding, context_length=context_length, blocks=blocks, looks_back=True, norm=norm
        )
        self.padding = padding
        self.mask_is_late = mask_is_late
        self.class_token = nn.Parameter(nn.init.normal_(torch.empty(1, 1, self.embed_dim), std=0.01))

    def forward(self, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B _ D"]:
        """Encode texts of at most `context_length` tokens, each from 0 to `vocab_size` - 1.

        Args:
            tokens: their numbers; padding at the end may be there or not.

        Returns:
            One vector for each token and, last, that of the class token.

        Raises:
            ValueError: there are more tokens.
        """
        return self.norm(self.together(tokens))

    def together(self, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B _ D"]:
        """The same before the final norm.

        Raises:
            ValueError: there are more tokens.
        """
        length = tokens.shape[1]
        # One place of the padding that was cut off, since a late mask lets the class token see the first one.
        whole = functional.pad(tokens, (0, 1), value=self.padding) if length < self.context_length else tokens
        vectors = self._placed(self.token_embedding(whole), 0)
        vectors = torch.cat([vectors, self.class_token.expand(len(tokens), -1, -1)], dim=1)
        vectors = self._through(vectors, Padded(self.seen(whole)))
        return torch.cat([vectors[:, :length], vectors[:, -1:]], dim=1)

    def seen(self, tokens: Int64[Tensor, "B T"]) -> Bool[Tensor, "B _"]:
        """Which places may be looked at: those of the tokens and, last, of a class token right after them."""
        is_real = tokens != self.padding
        always = is_real.new_ones(len(tokens), 1)
        return torch.cat([always, is_real] if self.mask_is_late else [is_real, always], dim=1)

    def lengths(self, tokens: Int64[Tensor, "B T"], places: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
        """How many tokens of each text any vector depends on: all but the padding at its end.

        Args:
            tokens: of the texts.
            places: one of each text.
        """
        del places
        return tokens.shape[1] - (tokens != self.padding).flip(1).int().argmax(dim=1)


class Config(TextSettings):
    """Settings of a text transformer with a class token; see `TextSettings`.

    Attributes:
        padding: number of the token that short texts are filled up with.
        mask_is_late: whether the mask stands one place too late, as open_clip's code has it and its released weights
            want it: the first padding is seen, the token after a "padding" within the text is not, and the class token
            does not see itself unless the text fills `context_length`.
    """

    padding: int = Field(default=0, ge=0)
    mask_is_late: bool = False

    def build(self) -> TextWithClass:
        """Make the trunk; its weights are drawn from PyTorch's generator."""
        trunk = TextWithClass(
            token_embedding=nn.Embedding(self.vocab_size, self.embed_dim),
            context_length=self.context_length,
            blocks=self.build_blocks(self.embed_dim, self.depth, self.num_heads, attend_back),
            norm=nn.LayerNorm(self.embed_dim, eps=self.norm_eps),
            padding=self.padding,
            mask_is_late=self.mask_is_late,
        )
        initialise(trunk, self.initialisation)
        return trunk
