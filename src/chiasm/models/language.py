"""A language model: the beginning of a text in, what token comes next out.

Paper: Black et al., 2022, arXiv 2204.06745, section 2 (GPT-NeoX).
"""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from chiasm.core.config import Config as BaseConfig
from chiasm.core.protocols import Model
from chiasm.data import tokenizer as tokenizers
from chiasm.heads.speaker import Speaker
from chiasm.layers.memory import Memory
from chiasm.ops.writing import Step
from chiasm.trunks import language


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


class LanguageModel(Speaker, Model):
    """Tokens in, logits of the next ones out, with its tokenizer."""

    tasks = ()
    reads_text = True

    def __init__(self, config: Config) -> None:
        super().__init__(config.trunk, config.writes_as_it_reads)
        self.config = config
        self._tokenizing = config.tokenizer

    def tokenizer(self, vocabulary: str) -> tokenizers.Tokenizer:
        """What turns texts into this model's tokens and back.

        Args:
            vocabulary: JSON text of a tokenizer.

        Raises:
            InputError: it cannot be read.
        """
        return self._tokenizing.build(vocabulary, self.trunk.context_length)

    def begin(self) -> Step:
        """What goes on with texts; every token is computed once."""
        memory = Memory()

        def step(tokens: Int64[Tensor, "B Q"], rows: Int64[Tensor, " B"] | None) -> Float[Tensor, "B V"]:
            if rows is not None:
                memory.choose(rows)
            return self.logits(self.trunk(tokens, memory)[:, -1])

        return step
