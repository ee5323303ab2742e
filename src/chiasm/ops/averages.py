"""Moving averages of many tensors at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def move_towards(averages: Sequence[Tensor], values: Sequence[Tensor], momentum: float) -> None:
    """`averages` become momentum * averages + (1 - momentum) * values, in place.

    Args:
        averages: of floating-point numbers.
        values: of the same shapes.
        momentum: from 0 (take the values) to 1 (stay).
    """
    if averages:
        # One call for all tensors, whichever is the fastest on their device.
        get_ema_multi_avg_fn(momentum)(list(averages), list(values), 0)
