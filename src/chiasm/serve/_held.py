"""Weights kept in the precision that they are multiplied in, so that autocast need not round them at every pass."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

import torch
from torch import nn

from chiasm.layers.attention import QueryValueBias
from chiasm.models.encoder import PictureModel

_ROUNDED = (nn.Linear, nn.Conv2d, QueryValueBias)
"""Modules, and no heirs of theirs, whose weights are used for nothing but a product that autocast rounds them for."""

Kept = TypeVar("Kept", bound=PictureModel)


def held(model: Kept) -> Kept:
    """Round the weights of linear maps and convolutions to bfloat16, in place; what autocast computes stays the same.

    A single text takes as long to round weights for as to encode, a single picture a third as long
    (`benchmarks/single.py`). Weights that are also used in another way stay as they are (tables of tokens that texts
    are written with), and so does the head of the model's own classes, which is asked outside of autocast. Autocast
    leaves float64 alone, and so does this.

    Args:
        model: one that nobody else has, as loaded; it must be asked under autocast from now on.
    """
    if any(tensor.dtype == torch.float64 for tensor in model.parameters()):
        return model
    spared = set() if model.own_head is None else set(model.own_head.modules())
    uses = Counter(id(tensor) for module in model.modules() for tensor in module.parameters(recurse=False))
    for module in model.modules():
        if type(module) not in _ROUNDED or module in spared:
            continue
        if all(uses[id(tensor)] == 1 for tensor in module.parameters(recurse=False)):
            module.to(torch.bfloat16)
    return model
