"""Tokens into the pixels of what they stand for, by one linear map.

Paper: Xie et al., 2021, arXiv 2111.09886, section 3.3 (a prediction head of one layer).
Differs: the paper's is a 1 x 1 convolution whose channels are then put in their places; this is the same map, on rows
of tokens, and its results are rows as `ops.patches.patchify` cuts them.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.initialise import Normal, initialise

NUM_CHANNELS = 3


class PixelHead(nn.Module):
    """A linear map.

    Args:
        embed_dim: width of the tokens.
        stride_px: side in pixels of what one token stands for.
    """

    def __init__(self, embed_dim: int, stride_px: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embed_dim, NUM_CHANNELS * stride_px * stride_px)
        initialise(self, Normal())

    def forward(self, tokens: Float[Tensor, "B N _"]) -> Float[Tensor, "B N D"]:
        """Normalised pixels of each token's square, in the order of `patchify`."""
        return self.linear(tokens)
