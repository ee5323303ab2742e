"""SigLIP's loss: is this text about this picture? Asked of every pair of a batch, each on its own.

Paper: Zhai, Mustafa, Kolesnikov, Beyer, "Sigmoid Loss for Language Image Pre-Training", 2023, arXiv 2303.15343,
algorithm 1; section 3.3 (texts travel from rank to rank, so that none ever holds the vectors of all).
Differs: nothing.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import as_stored, at_least_float32
from chiasm.ops.ranks import num_ranks, pass_on


def siglip_loss(
    pictures: Float[Tensor, "B E"],
    texts: Float[Tensor, "B E"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Mean over the pictures of the sum over all texts of the binary cross entropies.

    Args:
        pictures: vectors of any length (they are normalised here).
        texts: likewise; row b is about the picture of row b and about no other.
        scale: what cosines are multiplied by, above 0.
        bias: what is added after that.

    Returns:
        The loss in nats; the texts are those of all ranks.
    """
    # Cosines near 1 times a large scale need more digits than bfloat16 has.
    ours, theirs = (functional.normalize(at_least_float32(vectors), dim=1) for vectors in (pictures, texts))
    count = len(ours)
    signs = 2 * torch.eye(count, dtype=ours.dtype, device=ours.device) - 1
    total = ours.new_zeros(())
    for turn in range(num_ranks()):
        if turn:
            theirs = pass_on(theirs)
            # None of the texts of another rank is about a picture of this one.
            signs = torch.full_like(signs, -1.0)
        with as_stored(ours.device):
            logits = at_least_float32(scale) * (ours @ theirs.T) + at_least_float32(bias)
        total = total - functional.logsigmoid(signs * logits).sum()
    return total / count
