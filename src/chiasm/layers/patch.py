"""Patches into tokens.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1, equation 1.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """A linear map of the pixels of each patch.

    It acts on the rows that `ops.patches.patchify` cuts, not on pictures, for two reasons. Patches that are hidden need
    not be embedded at all. And on a CPU the product is faster than the strided convolution that it equals: 1.1 to 1.7
    times for forward and backward in float32, more in bfloat16 (benchmarks/patches.py). A convolution's weight
    `[D C p p]` flattened to `[D C*p*p]` is this weight.

    Args:
        num_channels: of a picture.
        patch_size: side of a patch in pixels.
        embed_dim: width of the tokens.
        bias: whether the map has one (CLIP's has none).
    """

    def __init__(self, num_channels: int, patch_size: int, embed_dim: int, bias: bool) -> None:
        super().__init__()
        self.projection = nn.Linear(num_channels * patch_size * patch_size, embed_dim, bias=bias)

    def forward(self, pixels: Float[Tensor, "B N _"]) -> Float[Tensor, "B N D"]:
        """Embed patches of pixels."""
        return self.projection(pixels)
