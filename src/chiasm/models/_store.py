"""Models to artefacts and back."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from chiasm.core.errors import InputError
from chiasm.core.protocols import Model
from chiasm.models import registry
from chiasm.weights import artefact
from chiasm.weights.card import Card

SHOWN_KEYS = 3
ModelT = TypeVar("ModelT", bound=Model)


def save_model(model: Model, folder: Path, card: Card) -> artefact.Artefact:
    """Write a model as an artefact.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    kind = type(model).__module__.rsplit(".", 1)[-1]
    config = model.config.model_dump(mode="json")
    return artefact.save(folder, kind, config, model.tasks, model.state_dict(), card)


def load_model(stored: artefact.Artefact, kind: type[ModelT]) -> ModelT:
    """Build a stored model and fill in its weights, ready to answer.

    Args:
        stored: the artefact.
        kind: what the caller can work with.

    Raises:
        InputError: the model is of another kind, or config or weights do not fit; missing and unexpected tensors are
            named.
        UnknownNameError: the kind of model or a part of it is not known.
    """
    config = registry.config(stored.model).parse(stored.config, str(stored.folder / artefact.CONFIG))
    model = config.build()
    if not isinstance(model, kind):
        raise InputError(f"a model of the kind {kind.__name__}", f"{stored.folder} is another", "choose another model")
    tensors = stored.tensors()
    wanted = model.state_dict()
    wrong = {
        "missing": [name for name in wanted if name not in tensors],
        "unexpected": [name for name in tensors if name not in wanted],
        "of another shape": [name for name in wanted if name in tensors and wanted[name].shape != tensors[name].shape],
    }
    complaints = [f"{len(names)} {what} ({_some(names)})" for what, names in wrong.items() if names]
    if complaints:
        raise InputError(
            f"all {len(wanted)} tensors of the model in {stored.folder / artefact.WEIGHTS}",
            "; ".join(complaints),
            "take config and weights from the same run",
        )
    model.load_state_dict(tensors)
    return model.eval()


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_KEYS])
    return f"{shown} ..." if len(names) > SHOWN_KEYS else shown
