"""Parameters that learn at rates of their own, and the rule by which the early levels of a trunk learn more slowly.

Paper: Clark et al., 2020, arXiv 2003.10555, appendix A (layer-wise decay of the learning rate); Bao et al., 2021, arXiv
2106.08254 (for vision transformers); Oquab et al., 2023, arXiv 2304.07193 (patch embedding slower still).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class LearningGroup:
    """Parameters that share their rates.

    Attributes:
        parameters: none of them in another group.
        lr_scale: multiplies the learning rate.
        waits: share of training (0 to 1) during which they do not learn.
        rises: share of training after that, over which their learning rate rises to the usual one.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_scale: float = 1.0
    waits: float = 0.0
    rises: float = 0.0


def layerwise(
    levels: Sequence[Sequence[nn.Module]], decay: float, embedding_scale: float = 1.0
) -> tuple[LearningGroup, ...]:
    """One group for each level of a trunk, scaled by `decay` once for every level that comes after it.

    Args:
        levels: as `Trunk.levels` tells them.
        decay: above 0; 1 lets all levels learn alike.
        embedding_scale: a further factor on the very first part, which embeds pixels.
    """
    last = len(levels) - 1
    (pixels, *others), *later = levels
    scaled = [((pixels,), decay**last * embedding_scale), (tuple(others), decay**last)]
    scaled += [(tuple(parts), decay ** (last - depth)) for depth, parts in enumerate(later, 1)]
    groups = []
    for parts, scale in scaled:
        learning = tuple(weight for part in parts for weight in part.parameters() if weight.requires_grad)
        if learning:
            groups.append(LearningGroup(learning, scale))
    return tuple(groups)
