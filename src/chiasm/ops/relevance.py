"""How much each token had to do with an answer, from what a forward pass left behind and its gradients.

Paper: Abnar and Zuidema, 2020, arXiv 2005.00928, section 3 (rollout); Chefer et al., 2021, arXiv 2103.15679, equations
5 and 6 (relevance), 8 and 9 (of tokens that a query looks at); Selvaraju et al., 2016, arXiv 1610.02391, equations 1
and 2 (Grad-CAM).
Differs: the vector of a picture need not be read from a class token. Which tokens it is read from is told by the
gradient that arrives at each (`shares`): all of it at the class token, equal parts where patches are averaged.
Grad-CAM reads patch tokens in the place of a feature map of convolutions.

"Tokens" below are all of a trunk, those before the patches included. Sums run in float32 at least.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

_TINY = 1e-30


def rollout(weights: Sequence[Float[Tensor, "B A N N"]]) -> Float[Tensor, "B N N"]:
    """Attention followed through all blocks, half of each step being the residual path; rows sum to 1.

    Args:
        weights: attention of each block, the first one first; rows sum to 1.

    Returns:
        How much of each first token (column) is in each last token (row).
    """
    mixed = _identity(weights[0])
    for each in weights:
        step = _wide(each).mean(dim=1)
        mixed = (step @ mixed + mixed) / 2
    return mixed


def relevance(
    weights: Sequence[Float[Tensor, "B A N N"]], gradients: Sequence[Float[Tensor, "B A N N"]]
) -> Float[Tensor, "B N N"]:
    """Attention that raised a score, followed through all blocks.

    Args:
        weights: attention of each block, the first one first.
        gradients: of the score with respect to each of them.

    Returns:
        How much each first token (column) raised the score by way of each last token (row), at least 0, with 1 added on
        the diagonal, where the rule starts.
    """
    relevant = _identity(weights[0])
    for each, gradient in zip(weights, gradients, strict=True):
        relevant = relevant + raising(each, gradient) @ relevant
    return relevant


def gathered(relevant: Float[Tensor, "B N N"]) -> Float[Tensor, "B N N"]:
    """Relevance without the 1 on the diagonal: what each token got from the first ones by attention."""
    return relevant - _identity(relevant[:, None])


def balanced(relevant: Float[Tensor, "B N N"]) -> Float[Tensor, "B N N"]:
    """Relevance of tokens that a query looks at: one half what each of them is by itself, one half what it got.

    By itself the 1 on the diagonal outweighs whatever was got, since that shrinks with the size of the gradients.
    """
    got = gathered(relevant)
    return _identity(relevant[:, None]) + got / got.sum(dim=-1, keepdim=True).clamp(min=_TINY)


def raising(weights: Float[Tensor, "B A Q N"], gradients: Float[Tensor, "B A Q N"]) -> Float[Tensor, "B Q N"]:
    """The part of attention that raised a score: gradient times weight where positive, averaged over heads."""
    return (_wide(gradients) * _wide(weights)).clamp(min=0).mean(dim=1)


def shares(gradients: Float[Tensor, "B N D"]) -> Float[Tensor, "B N"]:
    """How much a score is read from each token, by the length of the gradient there; rows sum to 1, or to 0."""
    return unit_sums(_wide(gradients).norm(dim=2))


def weighted_features(patches: Float[Tensor, "B N D"], gradients: Float[Tensor, "B N D"]) -> Float[Tensor, "B N"]:
    """Grad-CAM: each patch along the mean gradient of all of them, where positive."""
    direction = _wide(gradients).mean(dim=1, keepdim=True)
    return (direction * _wide(patches)).sum(dim=2).clamp(min=0)


def unit_sums(heat: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
    """Rows scaled to sum to 1; rows of zeros stay zero."""
    return heat / heat.sum(dim=1, keepdim=True).clamp(min=_TINY)


def _identity(weights: Float[Tensor, "B A N N"]) -> Float[Tensor, "B N N"]:
    size = weights.shape[-1]
    identity = torch.eye(size, dtype=_wide(weights).dtype, device=weights.device)
    return identity.expand(len(weights), size, size)


def _wide(numbers: Tensor) -> Tensor:
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))
