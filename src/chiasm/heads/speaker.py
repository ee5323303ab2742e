"""What tells which token comes next: a language transformer, and a table that its vectors are compared with.

Paper: Bengio, Ducharme, Vincent, Jauvin, 2003, JMLR 3, section 2; Press and Wolf, 2016, arXiv 1608.05859 (tokens are
read and written by the same table, as MPT does).
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int64
from torch import Tensor, nn

from chiasm.layers.memory import Memory
from chiasm.ops.token_logits import token_logits
from chiasm.trunks import language
from chiasm.trunks.language import Before


class Speaker(nn.Module):
    """Tokens in, logits of the next ones out.

    Args:
        settings: of the transformer.
        writes_as_it_reads: whether vectors are compared with the table that tokens are read by, not one of their own.
    """

    next_token: nn.Parameter | None

    def __init__(self, settings: language.Config, writes_as_it_reads: bool) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = settings.build()
        own = None if writes_as_it_reads else nn.Parameter(self.trunk.token_embedding.weight.detach().clone())
        self.register_parameter("next_token", own)

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
        return token_logits(vectors, table)
