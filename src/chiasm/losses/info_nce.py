"""InfoNCE: the cross entropy that finds each query's own key among the keys of all pictures.

Paper: van den Oord, Li, Vinyals, 2018, arXiv 1807.03748, equation 4; in this form Chen, Xie, He, "An Empirical Study of
Training Self-Supervised Vision Transformers", 2021, arXiv 2104.02057, equation 1 and algorithm 1 (`ctr`).
Differs: nothing; negatives are the keys of the same batch on all ranks. The factor 2 * temperature of algorithm 1 is
the objective's.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import as_stored, at_least_float32
from chiasm.ops.ranks import gather_rows, rank


def info_nce(queries: Float[Tensor, "B E"], keys: Float[Tensor, "B E"], temperature: float) -> Float[Tensor, ""]:
    """Mean over the queries of the cross entropy that finds the key of the same row among the keys of all ranks.

    Args:
        queries: of any length (they are normalised here).
        keys: likewise; no gradient flows into them.
        temperature: divides the cosine similarities, above 0.

    Returns:
        The loss in nats, at most log(B) for queries that tell nothing, with B the rows of all ranks.
    """
    # Cosines near 1 over a small temperature need more digits than bfloat16 has.
    ours, theirs = (functional.normalize(at_least_float32(rows), dim=1) for rows in (queries, keys.detach()))
    with as_stored(ours.device):
        logits = ours @ gather_rows(theirs).T / temperature
    own = torch.arange(len(queries), device=queries.device) + rank() * len(queries)
    return functional.cross_entropy(logits, own)
