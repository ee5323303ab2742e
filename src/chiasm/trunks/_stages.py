"""Stages of ever wider and fewer tokens: what the trunks that have them share."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.core.features import Features

Grid = tuple[int, int]


class Stage(nn.Module):
    """Merging, but in the first stage, and then blocks.

    Args:
        merging: of the tokens that come in and their grid, to fewer and theirs; None to take them as they are.
        blocks: of the tokens and their grid.
    """

    def __init__(self, merging: nn.Module | None, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.merging = merging
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tokens: Float[Tensor, "B _ _"], grid: Grid) -> tuple[Float[Tensor, "B N D"], Grid]:
        """Tokens and their grid."""
        if self.merging is not None:
            tokens, grid = self.merging(tokens, grid)
        for block in self.blocks:
            tokens = block(tokens, grid)
        return tokens, grid

    def levels(self) -> tuple[tuple[nn.Module, ...], ...]:
        """One for each block; merging stands with the first."""
        merging = () if self.merging is None else (self.merging,)
        first, *others = self.blocks
        return (*merging, first), *((block,) for block in others)


class Stages(nn.ModuleList):
    """All stages of a trunk.

    Args:
        stages: in their order.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__(stages)

    def forward(
        self, tokens: Float[Tensor, "B _ _"], grid: Grid, layers: Sequence[int]
    ) -> tuple[Float[Tensor, "B N D"], Grid, tuple[Features, ...]]:
        """The last stage's tokens, their grid, and the features of the stages asked for.

        Args:
            tokens: of the patches.
            grid: their rows and columns.
            layers: indices of stages; negative ones count from the last.

        Raises:
            ValueError: a stage does not exist.
        """
        count = len(self)
        for layer in layers:
            if not -count <= layer < count:
                raise ValueError(f"layers must be stages from {-count} to {count - 1}, but {layer} came")
        kept: list[Features] = []
        for stage in self:
            tokens, grid = stage(tokens, grid)
            kept.append(Features(prefix=tokens[:, :0], patches=tokens, grid=grid))
        return tokens, grid, tuple(kept[layer] for layer in layers)

    def levels(self) -> tuple[tuple[nn.Module, ...], ...]:
        """One for each block; a stage's merging stands with its first block."""
        levels: list[tuple[nn.Module, ...]] = []
        for stage in self:
            if isinstance(stage, Stage):
                levels += stage.levels()
        return tuple(levels)


def drop_rates(last: float, depths: Sequence[int]) -> list[float]:
    """Probabilities of dropping a part of each block, from 0 in the first to that of the last."""
    total = sum(depths)
    return [last * index / max(total - 1, 1) for index in range(total)]
