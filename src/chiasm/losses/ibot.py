"""The masked-patch loss: at hidden patches, a student should get the prototypes that a teacher gave who saw them.

Paper: Zhou et al., 2021, arXiv 2111.07832, equation 3; Oquab et al., 2023, arXiv 2304.07193, section 4.
Differs: the equation sums over the hidden patches of a picture; here, as in the code of both papers, it is their mean,
so that pictures count alike however much of them is hidden. Pictures in which nothing is hidden count as 0, as in
DINOv2's code.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from chiasm.ops.float32 import as_stored, at_least_float32


def ibot_loss(
    scores: Float[Tensor, "M K"],
    targets: Float[Tensor, "M K"],
    patch_mask: Bool[Tensor, "B N"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Mean over pictures of the mean over their hidden patches of the cross entropy.

    Args:
        scores: the student's at the hidden patches of all pictures, in the order of `patch_mask`.
        targets: the teacher's distributions at the same places; no gradient flows into them.
        patch_mask: True = hidden; as many as there are scores. A picture in which nothing is hidden counts as 0.
        temperature: divides the student's scores, above 0.

    Returns:
        The loss in nats.

    Raises:
        ValueError: scores and hidden patches differ in number.
    """
    hidden = patch_mask.sum(dim=1)
    rows = patch_mask.nonzero()[:, 0]
    if len(rows) != len(scores):
        raise ValueError(f"one row for each of {len(rows)} hidden patches is needed, but {len(scores)} came")
    logits = at_least_float32(scores) / temperature
    with as_stored(scores.device):
        wanted = at_least_float32(targets.detach())
        each = logits.logsumexp(dim=1) * wanted.sum(dim=1) - (logits * wanted).sum(dim=1)
        return (each / hidden[rows]).sum() / len(patch_mask)
