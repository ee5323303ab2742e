"""Whether a picture and a text belong together, and the pairs from which that is hardest to learn.

Paper: Li et al., 2022, arXiv 2201.12086, section 3.2 (ITM); Li et al., 2021, arXiv 2107.07651, section 3.3 (pairs that
do not belong together are drawn by how alike they seem).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.ops.float32 import as_stored, at_least_float32

LEAST = 1e-4
"""Added to the probability of every other row, so that each may be drawn; the authors' number."""


class Others(NamedTuple):
    """For each row of a batch the row of something that does not belong to it.

    Attributes:
        pictures: for each text.
        texts: for each picture.
    """

    pictures: Int64[Tensor, " B"]
    texts: Int64[Tensor, " B"]


@torch.no_grad()
def hard_negatives(pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"], scale: Float[Tensor, ""]) -> Others:
    """Draw, from PyTorch's generator, other rows of a batch, the more often the more alike they are.

    Args:
        pictures: vectors of any length.
        texts: likewise; row b is about the picture of row b.
        scale: what cosines are multiplied by.

    Raises:
        InputError: there is one row only.
    """
    if len(pictures) < 2:
        raise InputError("batches of two pictures or more", "one came", "choose a larger --engine.batch-size")
    ours = [functional.normalize(at_least_float32(vectors), dim=1) for vectors in (pictures, texts)]
    with as_stored(pictures.device):
        logits = at_least_float32(scale) * (ours[0] @ ours[1].T)
    drawn = [(one.softmax(dim=1) + LEAST).fill_diagonal_(0).multinomial(1).squeeze(1) for one in (logits.T, logits)]
    return Others(*drawn)


def matching_loss(logits: Float[Tensor, "M 2"], belong: Bool[Tensor, " M"]) -> Float[Tensor, ""]:
    """Mean cross entropy of pairs.

    Args:
        logits: of "they do not belong together" and of "they do".
        belong: whether they do.
    """
    return functional.cross_entropy(at_least_float32(logits), belong.long())
