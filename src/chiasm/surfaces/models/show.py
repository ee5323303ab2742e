"""Show one model: its card, what it is built from, what it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chiasm.core.predictors import Record


class ShownModel(Record):
    """An artefact as it describes itself."""

    path: str
    kind: str
    tasks: tuple[str, ...]
    num_parameters: int
    fingerprint: str
    config: dict[str, Any]
    metrics: dict[str, float]
    card: str


def show(model: Path) -> ShownModel:
    """Show where a model came from and how good it was.

    Args:
        model: the folder of an artefact.
    """
    from chiasm.core.files import read_json
    from chiasm.weights import artefact

    stored = artefact.read(model)
    card = model / artefact.CARD
    metrics = model / artefact.METRICS
    return ShownModel(
        path=str(stored.folder),
        kind=stored.model,
        tasks=stored.tasks,
        num_parameters=stored.num_parameters(),
        fingerprint=stored.fingerprint,
        config=dict(stored.config),
        metrics=read_json(metrics, "the metrics of a model") if metrics.exists() else {},
        card=card.read_text(encoding="utf-8") if card.exists() else "no card",
    )
