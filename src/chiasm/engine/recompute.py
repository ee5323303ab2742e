"""Computing blocks twice to save memory: what a block leaves for the backward pass is made again when that comes.

Paper: Chen et al., 2016, arXiv 1604.06174.
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from chiasm.core.protocols import Objective
from chiasm.engine.parallel import trunks_of


def recompute_blocks(objective: Objective) -> None:
    """Let the blocks of every trunk that learns keep nothing but what comes in; random numbers come out the same."""
    for trunk in trunks_of(objective):
        for level in trunk.levels()[1:-1]:
            for part in level:
                if any(weight.requires_grad for weight in part.parameters()):
                    _recompute(part)


def _recompute(part: nn.Module) -> None:
    # An attribute of the module hides the method of its class; names of weights stay as they are.
    part.forward = partial(checkpoint, part.forward, use_reentrant=False)
