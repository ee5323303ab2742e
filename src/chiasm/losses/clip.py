"""CLIP's loss: each picture finds its text among all texts, and each text its picture.

Paper: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv 2103.00020,
section 2.3 and figure 3.
Differs: nothing; the batch is that of all ranks, of whose vectors (not logits) every rank holds a copy.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import as_stored, at_least_float32
from chiasm.ops.ranks import gather_rows, rank


def clip_loss(
    pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Mean of the cross entropies over the pictures and over the texts.

    Args:
        pictures: vectors of any length (they are normalised here).
        texts: likewise; row b is about the picture of row b.
        scale: what cosines are multiplied by, above 0.

    Returns:
        The loss in nats, log(B) for vectors that tell nothing, with B the rows of all ranks.
    """
    # Cosines near 1 times a large scale need more digits than bfloat16 has.
    ours = [functional.normalize(at_least_float32(vectors), dim=1) for vectors in (pictures, texts)]
    own = torch.arange(len(pictures), device=pictures.device) + rank() * len(pictures)
    losses = []
    for rows, others in (ours, reversed(ours)):
        with as_stored(rows.device):
            logits = at_least_float32(scale) * (rows @ gather_rows(others).T)
        losses.append(functional.cross_entropy(logits, own))
    return (losses[0] + losses[1]) / 2
