"""The cross entropy of self-distillation: a student's view should get the prototypes that a teacher gave another view.

Paper: Caron et al., 2021, arXiv 2104.14294, section 3.1, equation 3 and algorithm 1; Oquab et al., 2023, arXiv
2304.07193, section 4 (the same loss on the class token, with the same weight for every pair of views).
Differs: nothing; the sums are ordered so that no logarithm of a whole distribution is kept.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from chiasm.ops.float32 import as_stored, at_least_float32


def dino_loss(scores: Float[Tensor, "V B K"], targets: Float[Tensor, "_ B K"], temperature: float) -> Float[Tensor, ""]:
    """Mean over pictures and over pairs of a teacher's view and another view of the student, of their cross entropy.

    Args:
        scores: the student's, of all views; those that the teacher saw come first.
        targets: the teacher's distribution over the prototypes for its views; no gradient flows into it.
        temperature: divides the student's scores, above 0.

    Returns:
        The loss in nats: the teacher's entropy plus the divergence of the student from it.

    Raises:
        ValueError: there is no pair, or there are fewer views than targets.
    """
    num_views, num_targets = len(scores), len(targets)
    if num_views < max(num_targets, 2) or not num_targets:
        raise ValueError(f"the loss needs two views and a target at least, but {num_views} and {num_targets} came")
    logits = at_least_float32(scores) / temperature
    with as_stored(scores.device):
        wanted = at_least_float32(targets.detach())
        everyone = wanted.sum(dim=0)
        total = _cross_entropy(logits[num_targets:], everyone) + _cross_entropy(logits[:num_targets], everyone - wanted)
    return total / (scores.shape[1] * num_targets * (num_views - 1))


def _cross_entropy(logits: Float[Tensor, "V B K"], targets: Float[Tensor, "*_ B K"]) -> Float[Tensor, ""]:
    """Sum over views and pictures of -target . log softmax(logits), for targets of any total."""
    hit = (logits * targets).sum()
    return (logits.logsumexp(dim=-1) * targets.sum(dim=-1)).sum() - hit


def entropy(distributions: Float[Tensor, "*_ K"]) -> Float[Tensor, ""]:
    """Mean entropy of distributions over K prototypes, in nats."""
    return torch.special.entr(at_least_float32(distributions)).sum(dim=-1).mean()
