"""What stages of ever wider and fewer tokens are made of: blocks with their norms before or after, and merging.

Paper: Liu et al., 2021, arXiv 2103.14030, section 3.1 (patch merging, norms before); Liu et al., 2021, arXiv
2111.09883, section 3.2 (norms after, on what is added).
Differs: grids with an odd side are padded with zeros, as in the authors' detection code. Norms after a part begin at
zero, so that a block begins as the identity; as in the authors' code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.choice import usually
from chiasm.core.config import Config


class WindowBlock(nn.Module):
    """Attention within windows and then a feed-forward part, each added to what came in.

    Args:
        attention_norm, mlp_norm: before each part, or identity.
        attention, mlp: the parts; the attention is told the grid.
        attention_post_norm, mlp_post_norm: after each part, before it is added, or identity.
        drop_path: after those; one module serves both parts, since it holds no state.
    """

    def __init__(
        self,
        *,
        attention_norm: nn.Module,
        attention: nn.Module,
        attention_post_norm: nn.Module,
        mlp_norm: nn.Module,
        mlp: nn.Module,
        mlp_post_norm: nn.Module,
        drop_path: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.attention_post_norm = attention_post_norm
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.mlp_post_norm = mlp_post_norm
        self.drop_path = drop_path

    def forward(self, tokens: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
        """One step of all tokens of a grid of some rows and columns."""
        seen = self.attention(self.attention_norm(tokens), grid)
        tokens = tokens + self.drop_path(self.attention_post_norm(seen))
        return tokens + self.drop_path(self.mlp_post_norm(self.mlp(self.mlp_norm(tokens))))


class PatchMerging(nn.Module):
    """Every 2 x 2 tokens into one that is twice as wide.

    Args:
        norm: of the four together, or identity.
        reduction: the four to one.
        post_norm: of the one, or identity.
    """

    def __init__(self, norm: nn.Module, reduction: nn.Linear, post_norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.reduction = reduction
        self.post_norm = post_norm

    def forward(
        self, tokens: Float[Tensor, "B _ _"], grid: tuple[int, int]
    ) -> tuple[Float[Tensor, "B N D"], tuple[int, int]]:
        """The merged tokens of a grid, and their own grid."""
        plane = tokens.unflatten(1, grid)
        rows, columns = ((side + 1) // 2 for side in grid)
        if (2 * rows, 2 * columns) != grid:
            plane = functional.pad(plane, (0, 0, 0, 2 * columns - grid[1], 0, 2 * rows - grid[0]))
        # The four go down the left column first and then down the right one.
        squares = plane.unflatten(2, (columns, 2)).unflatten(1, (rows, 2)).permute(0, 1, 3, 4, 2, 5)
        merged = self.reduction(self.norm(squares.flatten(3).flatten(1, 2)))
        return self.post_norm(merged), (rows, columns)


class Before(Config):
    """Norms before each part (Swin v1)."""

    kind: Literal["before"] = "before"

    def of_branch(self, embed_dim: int, eps: float) -> tuple[nn.Module, nn.Module]:
        """What stands before and after a part of a block."""
        return nn.LayerNorm(embed_dim, eps=eps), nn.Identity()

    def of_merging(self, embed_dim: int) -> PatchMerging:
        """Merging of tokens of a width."""
        reduction = nn.Linear(4 * embed_dim, 2 * embed_dim, bias=False)
        return PatchMerging(nn.LayerNorm(4 * embed_dim), reduction, nn.Identity())


class After(Config):
    """Norms after each part (Swin v2), which keep the tokens of deep and wide trunks from growing."""

    kind: Literal["after"] = "after"

    def of_branch(self, embed_dim: int, eps: float) -> tuple[nn.Module, nn.Module]:
        """What stands before and after a part of a block."""
        norm = nn.LayerNorm(embed_dim, eps=eps)
        nn.init.zeros_(norm.weight)
        return nn.Identity(), norm

    def of_merging(self, embed_dim: int) -> PatchMerging:
        """Merging of tokens of a width."""
        reduction = nn.Linear(4 * embed_dim, 2 * embed_dim, bias=False)
        return PatchMerging(nn.Identity(), reduction, nn.LayerNorm(2 * embed_dim))


AnyNorms = Annotated[Before | After, Field(discriminator="kind"), usually("before")]
