"""The cross entropy of each token of a text after the ones before it.

Paper: Bengio, Ducharme, Vincent, Jauvin, "A Neural Probabilistic Language Model", 2003, JMLR 3, section 2; as the
captioning loss of Yu et al., 2022, arXiv 2205.01917, equation 3.
Differs: the mean is taken over the tokens of all texts of all ranks that are to be told, so that long texts count for
more than short ones, and the number of processes changes nothing.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import at_least_float32
from chiasm.ops.ranks import num_ranks, sum_over_ranks


def next_token_loss(
    logits: Float[Tensor, "B T V"], tokens: Int64[Tensor, "B T"], told: Bool[Tensor, "B T"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Mean over the tokens that are to be told of the cross entropy of each.

    Args:
        logits: at each place, of the token at the next one.
        tokens: the texts.
        told: which tokens are judged; the first one of a text is never, since nothing stands before it.
        smoothing: share of the probability that is wanted for all tokens alike (Szegedy et al., 2015, arXiv 1512.00567,
            section 7), at least 0 and below 1.

    Returns:
        The loss in nats, 0 where nothing is to be told.
    """
    wanted, judged = tokens[:, 1:], told[:, 1:]
    losses = functional.cross_entropy(
        at_least_float32(logits[:, :-1]).flatten(0, 1), wanted.flatten(), reduction="none", label_smoothing=smoothing
    ).view_as(wanted)
    count = sum_over_ranks(judged.sum().to(losses.dtype)) / num_ranks()
    return (losses * judged).sum() / count.clamp(min=1 / num_ranks())
