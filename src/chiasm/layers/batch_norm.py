"""Batch norm over the batches of all processes of a run: what one process with the whole batch would compute.

Paper: Ioffe and Szegedy, 2015, arXiv 1502.03167, algorithm 1; Chen et al., 2020, arXiv 2002.05709, section 2.2 (why
contrastive learning needs statistics of the whole batch).
Differs: nothing. `nn.SyncBatchNorm` does the same on GPUs alone, and only after a conversion of the module.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.ops.float32 import at_least_float32
from chiasm.ops.ranks import gather_rows, num_ranks


class JoinedBatchNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d`, in training with the statistics of all processes, which must have equally many rows."""

    def forward(self, input: Float[Tensor, "B D *_"]) -> Float[Tensor, "B D *_"]:
        """Normalise.

        Raises:
            ValueError: a single value per channel in training, of which there is no variance.
        """
        return _joined(self, input) if self.training and num_ranks() > 1 else super().forward(input)


class JoinedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, in training with the statistics of all processes, which must have equally many pixels."""

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalise.

        Raises:
            ValueError: a single value per channel in training, of which there is no variance.
        """
        return _joined(self, input) if self.training and num_ranks() > 1 else super().forward(input)


def _joined(norm: nn.BatchNorm1d | nn.BatchNorm2d, values: Float[Tensor, "B C *_"]) -> Float[Tensor, "B C *_"]:
    """Normalise by mean and variance of the batches of all processes, and move the running ones towards them."""
    precise = at_least_float32(values)
    axes = [axis for axis in range(values.ndim) if axis != 1]
    variances, means = torch.var_mean(precise, axes, correction=0)
    # One exchange for both. The variance of all is that within the batches and that between their means, which loses
    # no digits, as a mean of squares would.
    all_means, all_variances = gather_rows(torch.cat([means, variances]).unsqueeze(0)).chunk(2, dim=1)
    mean = all_means.mean(dim=0)
    variance = (all_variances + (all_means - mean).square()).mean(dim=0)
    _track(norm, mean.detach(), variance.detach(), num_ranks() * values.numel() // values.shape[1])
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
    shape = [-1, *[1] * (values.ndim - 2)]
    return torch.addcmul(shift.view(shape), precise, scale.view(shape)).to(values.dtype)


@torch.no_grad()
def _track(
    norm: nn.BatchNorm1d | nn.BatchNorm2d, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"], count: int
) -> None:
    """Running statistics as `nn.BatchNorm1d` keeps them: of the unbiased variance; where there are any."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_((variance * (count / max(count - 1, 1))).to(norm.running_var.dtype), share)
