"""Sinkhorn-Knopp: scores of samples into assignments that use every prototype alike.

Paper: Cuturi, 2013, arXiv 1306.0895, algorithm 1; Caron et al., 2020, arXiv 2006.09882, section 3.1 and appendix A
(three iterations over a batch); Oquab et al., 2023, arXiv 2304.07193, section 4.
Differs: rows and columns are scaled by two vectors at the end instead of the whole matrix at every iteration. These
begin as what gives every prototype, then every sample a largest entry of 1, which changes nothing but that none of them
overflows or vanishes, however far apart the scores are.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from chiasm.ops.float32 import as_stored, at_least_float32
from chiasm.ops.ranks import largest_over_ranks, sum_over_ranks


@torch.no_grad()
def sinkhorn(scores: Float[Tensor, "B K"], temperature: float, num_iterations: int = 3) -> Float[Tensor, "B K"]:
    """Assignments of samples to prototypes: exp(scores / temperature), scaled in turns.

    Each iteration first gives every prototype the same total over the samples of all ranks, then every sample a total
    of 1. Ranks may hold different numbers of samples, also none.

    Args:
        scores: of each sample for each prototype.
        temperature: above 0; the smaller, the closer each sample's assignment to one prototype.
        num_iterations: at least 1.

    Returns:
        Rows that sum to 1, at least in float32; no gradient flows through them.
    """
    logits = at_least_float32(scores) / temperature
    highest = logits.new_full((logits.shape[1],), -torch.inf)
    if len(logits):
        highest = logits.amax(dim=0)
    with as_stored(logits.device):
        logits = logits - largest_over_ranks(highest)
        nearest = logits.amax(dim=1)
        weights = (logits - nearest.unsqueeze(1)).exp()
        tiny = torch.finfo(weights.dtype).tiny
        of_samples = nearest.exp()
        of_prototypes = weights.new_ones(weights.shape[1])
        for _ in range(num_iterations):
            used = sum_over_ranks(of_samples @ weights)
            of_prototypes = 1 / (used / used.mean().clamp_min(tiny)).clamp_min(tiny)
            of_samples = 1 / (weights @ of_prototypes).clamp_min(tiny)
        return weights * of_prototypes * of_samples.unsqueeze(1)
