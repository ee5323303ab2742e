"""What a residual branch passes through before it is added: layer scale and drop path.

Paper: Touvron et al., 2021, arXiv 2103.17239, section 2 (layer scale); Huang et al., 2016, arXiv 1603.09382, section 3
(stochastic depth, here per picture, as in all vision transformers); Oquab et al., 2023, arXiv 2304.07193, section 5
(dropped pictures are not computed).
Differs: where they are not computed, how many of a batch are dropped does not vary from its mean but for rounding, as
in the authors' code; which, is drawn evenly. It is done at every rate: a training step of ViT-Ti was 1.05 times as fast
at 0.05, 1.15 at 0.1, 1.4 at 0.3 (CPU).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.arrangement import SEPARATE, Arrangement

Branch = Callable[[Tensor, Arrangement], Tensor]
"""What is added to tokens, from them and their arrangement."""


class LayerScale(nn.Module):
    """A learned factor per number of a token."""

    def __init__(self, embed_dim: int, initial: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((embed_dim,), initial))

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return tokens * self.gain


class DropPath(nn.Module):
    """In training, leaves a whole branch out for a random part of the pictures and makes up for it in the others.

    Args:
        rate: share that is left out, at least 0 and below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """A branch that was computed for all pictures, set to zero in some."""
        if not self.training or self.rate == 0:
            return tokens
        kept = 1 - self.rate
        # Divided afterwards: 1 / kept is no bfloat16 number, and rounding it would bias every branch.
        stays = tokens.new_empty(len(tokens), 1, 1).bernoulli_(kept)
        return (tokens * stays).div_(kept)

    def add(
        self, tokens: Float[Tensor, "B N D"], branch: Branch, arrangement: Arrangement = SEPARATE
    ) -> Float[Tensor, "B N D"]:
        """Tokens with a branch added to them, which is computed only for the pictures that keep it.

        Args:
            tokens: what the branch begins with.
            branch: of tokens and their arrangement.
            arrangement: which tokens belong to one picture.
        """
        if not self.training or self.rate == 0:
            return tokens + branch(tokens, arrangement)
        some = arrangement.some(tokens, 1 - self.rate)
        added = branch(tokens.index_select(some.axis, some.places), some.arrangement) * some.scale
        return tokens.index_add(some.axis, some.places, added.to(tokens.dtype))

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"
