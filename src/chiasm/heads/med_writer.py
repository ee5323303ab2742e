"""BLIP's writer: tokens of a picture (or of a question about it) and the beginning of a text in, the next token out.

Paper: Li et al., 2022, arXiv 2201.12086, section 3.1 (image-grounded text decoder); Devlin et al., 2018, arXiv
1810.04805, section 3.1 (what stands between the last block and the vocabulary); Press and Wolf, 2016, arXiv 1608.05859
(tokens are read and written by the same table).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.memory import Memory
from chiasm.ops.token_logits import token_logits
from chiasm.ops.writing import Step
from chiasm.trunks.med import Med, Settings


class MedWriter(nn.Module):
    """A MED whose tokens look back, and a map from its vectors to the vocabulary.

    Args:
        trunk: reads what was written so far.
        norm: before the vocabulary.
    """

    def __init__(self, trunk: Med, norm: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.dense = nn.Linear(trunk.embed_dim, trunk.embed_dim)
        self.norm = norm
        self.bias = nn.Parameter(torch.zeros(trunk.vocab_size))

    def forward(
        self, tokens: Int64[Tensor, "B T"], shown: Float[Tensor, "B N _"], real: Bool[Tensor, "B N"] | None = None
    ) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token of texts.

        Args:
            tokens: of at most `context_length`; padding comes last.
            shown: tokens that each text looks at.
            real: which of them are no padding; None for all.

        Raises:
            ValueError: there are more tokens.
        """
        return self._logits(self.trunk(tokens, self.trunk.show(shown, real)))

    def begin(self, shown: Float[Tensor, "B N _"], real: Bool[Tensor, "B N"] | None = None) -> Step:
        """What writes; every token is computed once, the keys and values of what is looked at too.

        Args:
            shown: tokens that each text looks at.
            real: which of them are no padding; None for all.
        """
        seen, memory = self.trunk.show(shown, real), Memory()

        def step(tokens: Int64[Tensor, "B Q"], rows: Int64[Tensor, " B"] | None) -> Float[Tensor, "B V"]:
            nonlocal seen
            if rows is not None:
                seen = tuple(each.of(rows) for each in seen)
                memory.choose(rows)
            return self._logits(self.trunk(tokens, seen, memory.after(tokens.shape[1]))[:, -1])

        return step

    def _logits(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        vectors = self.norm(functional.gelu(self.dense(vectors)))
        return token_logits(vectors, self.trunk.token_embedding.weight, self.bias)


class Config(Settings):
    """Settings of a writer: those of its trunk, described there."""

    def build(self, shown_dim: int) -> MedWriter:
        """Make the head; its weights are drawn from PyTorch's generator.

        Args:
            shown_dim: width of the tokens that it looks at.
        """
        writer = MedWriter(self.trunk(shown_dim, looks_back=True), self.norm())
        initialise(writer.dense, Normal())
        return writer
