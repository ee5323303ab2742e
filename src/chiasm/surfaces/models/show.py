"""Show one model: its card, what it is built from, what it serves."""

from __future__ import annotations

from typing import Any

from chiasm.core.predictors import Record


class ShownModel(Record):
    """A model as it describes itself.

    Attributes:
        name: as it was given.
        layout: how its files are laid out; `chiasm` for our own.
        kind: what it is built as.
        tasks: what it serves.
        num_parameters: numbers in its files.
        fingerprint: changes whenever answers could.
        config: what it is built from.
        metrics: figures of its card.
        card: where it came from.
    """

    name: str
    layout: str
    kind: str
    tasks: tuple[str, ...]
    num_parameters: int
    fingerprint: str
    config: dict[str, Any]
    metrics: dict[str, float]
    card: str


def show(model: str) -> ShownModel:
    """Show what a model is built from, where it came from and how good it was.

    Args:
        model: folder, file or public name.
    """
    from chiasm.models._store import tasks_of
    from chiasm.weights.find import find

    stored = find(model)
    origin = stored.origin()
    return ShownModel(
        name=stored.name,
        layout=stored.layout,
        kind=stored.model,
        tasks=tasks_of(stored),
        num_parameters=stored.num_parameters(),
        fingerprint=stored.fingerprint,
        config=dict(stored.config),
        metrics=dict(origin.metrics),
        card=origin.card,
    )
