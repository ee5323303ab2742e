"""What executes the draws of a batch: picture by picture on a CPU, or all at once on the device that trains.

Both give the same views but for a level or two (see `augment.batched`). On a processor, tensor operations on the whole
batch take several times as long as fused work on bytes (`benchmarks/multicrop.py`). With a GPU the processor is left
with decoding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from chiasm.data.augment.batched import Together
from chiasm.data.augment.cpu import OneByOne
from chiasm.data.augment.sample import ViewDraws


@runtime_checkable
class Rendering(Protocol):
    """The views of one batch in the making."""

    def put(self, place: int, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        """Take the picture of one row, 0 to 255; any thread may bring it, each row once."""
        ...

    def views(self) -> tuple[UInt8[Tensor, "B 3 _ _"], ...]:
        """One tensor for each view, 0 to 255, once all pictures were put; asked for once, by one thread."""
        ...


Executor = Callable[[Sequence[ViewDraws]], Rendering]
"""Begins a batch, given one `ViewDraws` for each view, all of as many pictures."""


def executor_for(device: torch.device) -> Executor:
    """The faster one for a model on that device; its views lie where they were made, on the processor or there."""
    return OneByOne if device.type == "cpu" else partial(Together, device=device)
