"""What is kept of an objective beside the trunk."""

from __future__ import annotations

from torch import Tensor, nn

from chiasm.core.protocols import Objective
from chiasm.models.encoder import Encoder


def with_own_pool(pictures: Encoder, objective: Objective) -> Encoder:
    """The encoder with the pool that the objective learned; most kinds of pools have no weights.

    Args:
        pictures: with what the trunk learned, and a pool of the same settings.
        objective: has its pool as `pool`.
    """
    pictures.pool.load_state_dict(whole_state(objective.get_submodule("pool")))
    return pictures


def whole_state(part: nn.Module) -> dict[str, Tensor]:
    """Weights of a part of an objective, of which a process may hold shards; all processes must ask for them."""
    # Asked of the tensor, since to import the type of shards takes a second.
    return {
        name: getattr(value, "full_tensor", lambda value=value: value)() for name, value in part.state_dict().items()
    }
