"""What ConvNeXt's stages are made of: a block around a wide convolution of each channel, and halving between stages.

Paper: Liu et al., 2022, arXiv 2201.03545, sections 2.3 to 2.6.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

KERNEL = 7
"""Side of the convolution in tokens."""


class ConvolutionBlock(nn.Module):
    """A convolution of each channel on its own, then a feed-forward part of each token, added to what came in.

    Args:
        embed_dim: width of the tokens.
        norm: after the convolution.
        mlp: after the norm.
        scale: of what is added: layer scale, or identity.
        drop_path: after the scale.
    """

    def __init__(
        self, embed_dim: int, *, norm: nn.Module, mlp: nn.Module, scale: nn.Module, drop_path: nn.Module
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(embed_dim, embed_dim, KERNEL, padding=KERNEL // 2, groups=embed_dim)
        self.norm = norm
        self.mlp = mlp
        self.scale = scale
        self.drop_path = drop_path

    def forward(self, tokens: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
        """One step of all tokens of a grid of some rows and columns."""
        seen = as_tokens(self.convolution(as_map(tokens, grid)))
        return tokens + self.drop_path(self.scale(self.mlp(self.norm(seen))))


class Halving(nn.Module):
    """A norm, and then every 2 x 2 tokens into one of another width; a last odd row or column is left out.

    Args:
        width_in, width_out: of the tokens.
        norm_eps: of the norm.
    """

    def __init__(self, width_in: int, width_out: int, norm_eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width_in, eps=norm_eps)
        self.convolution = nn.Conv2d(width_in, width_out, 2, stride=2)

    def forward(
        self, tokens: Float[Tensor, "B _ _"], grid: tuple[int, int]
    ) -> tuple[Float[Tensor, "B N D"], tuple[int, int]]:
        """The tokens that remain of a grid, and their own grid."""
        halved = self.convolution(as_map(self.norm(tokens), grid))
        return as_tokens(halved), (halved.shape[2], halved.shape[3])


def as_map(tokens: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B D h w"]:
    """Tokens as a feature map; not a copy, so that its channels lie next to each other, which convolutions like."""
    return tokens.unflatten(1, grid).permute(0, 3, 1, 2)


def as_tokens(maps: Float[Tensor, "B D h w"]) -> Float[Tensor, "B _ D"]:
    """A feature map as tokens, row by row."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)
