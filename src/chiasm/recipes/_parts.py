"""Weights of parts of an objective, which several processes may share."""

from __future__ import annotations

from torch import Tensor, nn


def whole_state(part: nn.Module) -> dict[str, Tensor]:
    """Weights of a part of an objective, of which a process may hold shards; all processes must ask for them."""
    # Asked of the tensor, since to import the type of shards takes a second.
    return {
        name: getattr(value, "full_tensor", lambda value=value: value)() for name, value in part.state_dict().items()
    }
