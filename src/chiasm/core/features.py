"""`Features`: the currency between trunks and heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Features:
    """What a trunk sees in a batch of pictures.

    Attributes:
        prefix: class token (first, where the trunk has one) and registers; P may be 0.
        patches: patch tokens, row by row; only the visible ones when `visible` is set.
        grid: height and width of the full patch grid.
        num_class_tokens: how many of the prefix tokens are class tokens (0 or 1).
        visible: positions (0 to h*w - 1) of `patches` in the full grid when some patches were hidden; None when all
            are there.
        intermediates: features after earlier layers, in the order they were asked for.
    """

    prefix: Float[Tensor, "B P D"]
    patches: Float[Tensor, "B N D"]
    grid: tuple[int, int]
    num_class_tokens: int = 0
    visible: Int64[Tensor, "B N"] | None = None
    intermediates: tuple[Features, ...] = ()

    @property
    def tokens(self) -> Float[Tensor, "B _ D"]:
        """All of them: class token and registers, then the patches."""
        return torch.cat([self.prefix, self.patches], dim=1)

    def of(self, rows: Int64[Tensor, " _"]) -> Features:
        """Those of some of the pictures, in that order; one may be taken several times."""
        visible = None if self.visible is None else self.visible[rows]
        intermediates = tuple(each.of(rows) for each in self.intermediates)
        return Features(self.prefix[rows], self.patches[rows], self.grid, self.num_class_tokens, visible, intermediates)

    def patch_map(self) -> Float[Tensor, "B D h w"]:
        """Patch tokens as a feature map.

        Raises:
            ValueError: some patches were hidden, so there is no full map.
        """
        if self.visible is not None:
            raise ValueError("a patch map needs all patches, but some were hidden; run the trunk without patch_mask")
        height, width = self.grid
        return self.patches.transpose(1, 2).unflatten(2, (height, width))
