"""Losses of hidden pixels: the squared error of whole patches and the absolute error of pixels anywhere.

Paper: He et al., 2021, arXiv 2111.06377, section 3, "Reconstruction target" (squared error, normalised patches); Xie et
al., 2021, arXiv 2111.09886, section 3.4, equation 2 (absolute error).
Differs: the absolute error is divided by the mean over all processes of what is hidden on each, so that every hidden
pixel counts alike. Both are computed in float32 at least.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import at_least_float32
from chiasm.ops.ranks import num_ranks, sum_over_ranks

EPS = 1e-6
"""Added to the variance of a patch, so that one of a single colour becomes zeros."""


def patch_statistics(pixels: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B N 1"], Float[Tensor, "B N 1"]]:
    """Mean and standard deviation (the unbiased one) of the numbers of each patch, in float32 at least."""
    precise = at_least_float32(pixels)
    mean = precise.mean(dim=-1, keepdim=True)
    # The formula takes a tenth of the time of torch.var_mean for rows as short as these on a CPU.
    variance = (precise - mean).square().sum(dim=-1, keepdim=True) / (pixels.shape[-1] - 1)
    return mean, (variance + EPS).sqrt()


def normalised_patches(pixels: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
    """Each patch less its mean, divided by its standard deviation."""
    mean, deviation = patch_statistics(pixels)
    return (pixels - mean) / deviation


def masked_mse(predicted: Float[Tensor, "B N D"], target: Float[Tensor, "B N D"]) -> Float[Tensor, ""]:
    """Mean squared error of the hidden patches.

    Args:
        predicted: the hidden patches alone, equally many of every picture.
        target: what they should be: the pixels, or the normalised patches.
    """
    return functional.mse_loss(at_least_float32(predicted), at_least_float32(target))


def masked_l1(
    predicted: Float[Tensor, "B C H W"], target: Float[Tensor, "B C H W"], hidden: Bool[Tensor, "B 1 H W"]
) -> Float[Tensor, ""]:
    """Mean absolute error of the hidden pixels; 0 where none is.

    Args:
        predicted, target: whole pictures.
        hidden: the pixels that count.
    """
    errors = torch.where(hidden, at_least_float32(predicted) - at_least_float32(target), 0.0).abs()
    # The mean over processes, since the gradients of all of them are averaged.
    count = sum_over_ranks(hidden.sum().to(errors.dtype)) / num_ranks() * target.shape[1]
    return errors.sum() / count.clamp(min=1.0)
