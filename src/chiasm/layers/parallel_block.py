"""The block whose two parts look at the same tokens, so that neither waits for the other.

Paper: Wang and Komatsuzaki, 2021, GPT-J-6B (where it was first done); Black et al., 2022, arXiv 2204.06745, section
2.1 (GPT-NeoX: each part has a norm of its own).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.block import Block


class ParallelBlock(Block):
    """Attention and a feed-forward part of what came in, both added to it; made of the same parts as `Block`."""

    def forward(self, tokens: Float[Tensor, "B N D"], arrangement: Arrangement = SEPARATE) -> Float[Tensor, "B N D"]:
        """One step of all tokens; `arrangement` says which belong together."""
        return self.drop_path.add(tokens, self._both, arrangement)

    def _both(self, tokens: Float[Tensor, "B N D"], arrangement: Arrangement) -> Float[Tensor, "B N D"]:
        return self._look(tokens, arrangement) + self._think(tokens, arrangement)
