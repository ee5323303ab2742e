"""A language model: the beginning of a text in, what token comes next out.

Paper: Black et al., 2022, arXiv 2204.06745, section 2 (GPT-NeoX); Press and Wolf, 2016, arXiv 1608.05859 (tokens are
read and written by the same table, as MPT does).
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.config import Config as BaseConfig
from chiasm.core.protocols import Model
from chiasm.data import tokenizer as tokenizers
from chiasm.layers.memory import Memory
from chiasm.ops.writing import Step
from chiasm.trunks import language
from chiasm.trunks.language import Before


class Config(BaseConfig):
    """What a language model is made of.

    Attributes:
        trunk: the transformer.
        writes_as_it_reads: whether vectors are compared with the table that tokens are read by, not one of their own.
        tokenizer: how texts become tokens, beside the vocabulary.
    """

    trunk: language.Config = language.Config()
    writes_as_it_reads: bool = False
    tokenizer: tokenizers.Config = tokenizers.Config()

    def build(self) -> LanguageModel:
        """A model with random weights."""
        return LanguageModel(self)


class LanguageModel(Model):
    """Tokens in, logits of the next ones out."""

    tasks = ()
    reads_text = True
    next_token: nn.Parameter | None

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self._tokenizing = config.tokenizer
        self.trunk = config.trunk.build()
        own = None if config.writes_as_it_reads else nn.Parameter(self.trunk.token_embedding.weight.detach().clone())
        self.register_parameter("next_token", own)

    def tokenizer(self, vocabulary: str) -> tokenizers.Tokenizer:
        """What turns texts into this model's tokens and back.

        Args:
            vocabulary: JSON text of a tokenizer.

        Raises:
            InputError: it cannot be read.
        """
        return self._tokenizing.build(vocabulary, self.trunk.context_length)

    def forward(
        self, tokens: Int64[Tensor, "B T"], memory: Memory | None = None, before: Sequence[Before] = ()
    ) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token; see `trunks.language`.

        Args:
            tokens: their numbers.
            memory: of the tokens before these.
            before: what the vectors pass before each block.
        """
        return self.logits(self.trunk(tokens, memory, before))

    def logits(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Of the next token, from the vectors of the trunk."""
        table = self.trunk.token_embedding.weight if self.next_token is None else self.next_token
        return functional.linear(vectors, table)

    def begin(self) -> Step:
        """What goes on with texts; every token is computed once."""
        memory = Memory()

        def step(tokens: Int64[Tensor, "B Q"], rows: Int64[Tensor, " B"] | None) -> Float[Tensor, "B V"]:
            if rows is not None:
                memory.choose(rows)
            return self.logits(self.trunk(tokens, memory)[:, -1])

        return step
