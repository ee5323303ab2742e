"""Models to artefacts and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.protocols import Model
from chiasm.core.tensors import widened
from chiasm.models import registry
from chiasm.weights import artefact
from chiasm.weights.card import Card
from chiasm.weights.stored import Stored

SHOWN_KEYS = 30
ModelT = TypeVar("ModelT", bound=Model)


def save_model(model: Model, folder: Path, card: Card, tokenizer: str | None = None) -> artefact.Artefact:
    """Write a model as an artefact.

    Args:
        model: what to write.
        folder: where.
        card: where it came from.
        tokenizer: JSON text of the tokenizer of a model that reads text.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    kind = type(model).__module__.rsplit(".", 1)[-1]
    config = model.config.model_dump(mode="json")
    return artefact.save(folder, kind, config, model.tasks, model.state_dict(), card, tokenizer)


def keep(stored: Stored, model: Model, tensors: Mapping[str, Tensor], folder: Path, card: Card) -> artefact.Artefact:
    """Write a model that was loaded, with other weights than its own if need be, as an artefact of ours.

    Args:
        stored: where it was loaded from; its tokenizer goes along.
        model: as `load_model` returned it.
        tensors: the weights to write.
        folder: where.
        card: where it came from.

    Raises:
        InputError: the disk is full or cannot be written, or a model that reads text has no tokenizer.
    """
    tokenizer = stored.tokenizer() if model.reads_text else None
    return artefact.save(folder, stored.model, stored.config, model.tasks, tensors, card, tokenizer)


def tasks_of(stored: Stored) -> tuple[str, ...]:
    """What a stored model serves, told without its weights.

    Raises:
        InputError: its settings do not fit.
        UnknownNameError: the kind of model or a part of it is not known.
    """
    return _hollow(stored).tasks


def load_model(stored: Stored, kind: type[ModelT]) -> ModelT:
    """Build a stored model and fill in its weights, ready to answer.

    Args:
        stored: ours or somebody else's.
        kind: what the caller can work with.

    Raises:
        InputError: the model is of another kind, or config or weights do not fit; every missing, unexpected and
            misshapen tensor is listed.
        UnknownNameError: the kind of model or a part of it is not known.
    """
    model = _hollow(stored)
    if not isinstance(model, kind):
        raise InputError(f"a model of the kind {kind.__name__}", f"{stored.name} is another", "choose another model")
    tensors = {name: widened(tensor) for name, tensor in stored.tensors().items()}
    _check(model, tensors, stored.name)
    model.load_state_dict(tensors, assign=True)
    hollow = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if hollow:
        raise RuntimeError(f"formulas must be computed, not kept beside the weights, but {hollow[0]} is")
    return model.requires_grad_(True).eval()


def _hollow(stored: Stored) -> Model:
    """The model without memory and without random numbers: every weight is about to come from the file."""
    config = registry.config(stored.model).parse(stored.config, f"the settings of {stored.name}")
    with torch.device("meta"):
        return config.build()


def _check(model: Model, tensors: dict[str, Tensor], name: str) -> None:
    """Compare names and shapes.

    Raises:
        InputError: they are not the same, with a table of what differs.
    """
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    came = {key: tuple(value.shape) for key, value in tensors.items()}
    missing = [(key, "missing", shape, None) for key, shape in wanted.items() if key not in came]
    unexpected = [(key, "unexpected", None, shape) for key, shape in came.items() if key not in wanted]
    both = [key for key in wanted if key in came and wanted[key] != came[key]]
    rows = [*missing, *unexpected, *((key, "of another shape", wanted[key], came[key]) for key in both)]
    if not rows:
        return
    counts = Counter(what for _, what, _, _ in rows)
    raise InputError(
        f"all {len(wanted)} tensors of the model in {name}",
        "; ".join(f"{count} {what}" for what, count in counts.items()) + f" (the first is {rows[0][0]})",
        "take config and weights from the same run or the same repository",
        details=_table(rows),
    )


def _table(rows: Sequence[tuple[str, str, tuple[int, ...] | None, tuple[int, ...] | None]]) -> str:
    """What differs, a tensor a line, as far as a person reads on."""
    cells = [("tensor", "is", "expected", "came"), *((key, what, _shape(a), _shape(b)) for key, what, a, b in rows)]
    cells = cells[: SHOWN_KEYS + 1]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip() for row in cells]
    if len(rows) > SHOWN_KEYS:
        lines.append(f"... and {len(rows) - SHOWN_KEYS} more")
    return "\n".join(lines)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else " x ".join(map(str, shape)) or "a number"
