"""A model's twin: the same modules over the same weights, to look inside while others compute with the model."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Part = TypeVar("Part", bound=nn.Module)


def twin(model: Part) -> Part:
    """The same modules over the same weights, held still and in float32 at least.

    Recording changes modules for a while, which must not be those that others compute with in the meantime.
    """
    shared: dict[int, Tensor] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        precision = torch.promote_types(tensor.dtype, torch.float32) if tensor.is_floating_point() else tensor.dtype
        shared[id(tensor)] = tensor.detach().to(precision)
    return copy.deepcopy(model, shared)
