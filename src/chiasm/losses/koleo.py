"""KoLeo: vectors should keep away from their nearest neighbours, so that they fill the sphere evenly.

Paper: Sablayrolles et al., 2018, arXiv 1806.03198, section 3.2 (after the Kozachenko-Leonenko estimator of entropy);
Oquab et al., 2023, arXiv 2304.07193, section 4.
Differs: two vectors that agree to every digit of float32 do not push each other, since the direction would be that of
the rounding and the force ten million times a usual one. Neighbours are looked for within the rows of one process, as
in DINOv2's code, so the loss is not that of the whole batch when several processes train.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import as_stored, at_least_float32

EPSILON = 1e-8
SAME = 1e-6
"""Distances of unit vectors below this are rounding errors."""


def koleo(vectors: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Mean of -log(distance to the nearest other vector), of vectors scaled to length 1.

    Args:
        vectors: of different pictures, at least two.

    Raises:
        ValueError: fewer than two came.
    """
    if len(vectors) < 2:
        raise ValueError(f"a vector has no neighbour among {len(vectors)}")
    with as_stored(vectors.device):
        unit = functional.normalize(at_least_float32(vectors), dim=1, eps=EPSILON)
        with torch.no_grad():
            nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(dim=1)
        distances = functional.pairwise_distance(unit, unit[nearest], eps=EPSILON)
        return -(distances.clamp_min(SAME) + EPSILON).log().mean()
