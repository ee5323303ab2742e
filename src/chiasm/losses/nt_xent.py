"""NT-Xent: the normalised, temperature-scaled cross entropy between two views.

Paper: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", 2020,
arXiv:2002.05709, equation 1 and algorithm 1.
Differs: nothing; negatives come from the batches of all ranks, as in the paper's global batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import as_stored, at_least_float32
from chiasm.ops.ranks import gather_rows, rank


def nt_xent(first: Float[Tensor, "B E"], second: Float[Tensor, "B E"], temperature: float) -> Float[Tensor, ""]:
    """Mean over the 2B views of the cross entropy that finds each view's partner among the other 2B - 1.

    Args:
        first: projections of the first view of each picture, any length (they are normalised here).
        second: projections of the second views; row b belongs to the picture of row b of `first`.
        temperature: divides the cosine similarities, above 0.

    Returns:
        The loss in nats, at most log(2B - 1) for projections that tell nothing.
    """
    # Cosines near 1 over a small temperature need more digits than bfloat16 has.
    ours = [functional.normalize(at_least_float32(view), dim=1) for view in (first, second)]
    firsts, seconds = (gather_rows(view) for view in ours)
    everyone = torch.cat([firsts, seconds])
    total = firsts.shape[0]
    rows = torch.arange(first.shape[0], device=first.device) + rank() * first.shape[0]
    losses = []
    for view, own, partner in ((ours[0], rows, rows + total), (ours[1], rows + total, rows)):
        with as_stored(view.device):
            logits = view @ everyone.T / temperature
        logits = logits.scatter(1, own.unsqueeze(1), float("-inf"))
        losses.append(functional.cross_entropy(logits, partner))
    return (losses[0] + losses[1]) / 2
