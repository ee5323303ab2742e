"""Numbers of at least float32, for sums over many values and logarithms of small ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_float32(values: Float[Tensor, "*_"]) -> Float[Tensor, "*_"]:
    """The same values in float32 where they are stored in half precision, as they are otherwise."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def as_stored(device: torch.device) -> torch.autocast:
    """Within this, products are computed in the precision of their factors, whatever autocast is on outside."""
    return torch.autocast(device.type, enabled=False)
