"""How far a student's vectors are from a teacher's: cosine distance, and smooth L1 for their lengths.

Paper: Ranzinger et al., "AM-RADIO: Agglomerative Vision Foundation Model", 2023, arXiv 2312.06709, the loss
formulation of section 3 (cosine distance for the summary; 0.9 of it and 0.1 of smooth L1 for the patches).
Differs: nothing.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import at_least_float32


def cosine_distance(student: Float[Tensor, "*B D"], teacher: Float[Tensor, "*B D"]) -> Float[Tensor, ""]:
    """Mean over the vectors of 1 - cosine: 0 for the same direction, 2 for opposite ones."""
    return (1 - functional.cosine_similarity(at_least_float32(student), at_least_float32(teacher), dim=-1)).mean()


def smooth_l1(student: Float[Tensor, "*B D"], teacher: Float[Tensor, "*B D"]) -> Float[Tensor, ""]:
    """Mean over all numbers of d^2 / 2 where the difference d is below 1, |d| - 1/2 elsewhere."""
    return functional.smooth_l1_loss(at_least_float32(student), at_least_float32(teacher))
