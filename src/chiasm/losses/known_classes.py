"""Cross entropy with smoothed labels over those examples of all processes whose class is known.

Paper: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015, arXiv 1512.00567, section 7
(label smoothing).
Differs: nothing.
"""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import at_least_float32
from chiasm.ops.ranks import num_ranks, sum_over_ranks

UNKNOWN = -1
"""The label of an example of which no class is told."""


def known_classes(
    logits: Float[Tensor, "B K"], labels: Int64[Tensor, " B"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Mean cross entropy over the examples of all ranks whose class is known; 0 where no class is.

    The mean of this number over the ranks is the mean over all known examples, however they are spread.

    Args:
        logits: one for each class.
        labels: 0 to K - 1, -1 where unknown.
        smoothing: share of each target that is spread evenly over all classes, 0 to 1.
    """
    precise = at_least_float32(logits)
    total = functional.cross_entropy(precise, labels, ignore_index=UNKNOWN, reduction="sum", label_smoothing=smoothing)
    known = sum_over_ranks((labels != UNKNOWN).sum().to(precise.dtype))
    return total * num_ranks() / known.clamp(min=1)
