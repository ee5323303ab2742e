"""Keep a public model as a folder of our own: one config, one file of weights, nothing to fetch or translate again."""

from __future__ import annotations

import shlex
from pathlib import Path

from chiasm.core.predictors import Record


class Kept(Record):
    """What was written.

    Attributes:
        out: the folder.
        kind: what the model is built as.
        tasks: what it serves.
        num_parameters: numbers in its weights.
        num_bytes: of the file of weights.
    """

    out: str
    kind: str
    tasks: tuple[str, ...]
    num_parameters: int
    num_bytes: int


def keep(model: str, out: Path) -> Kept:
    """Write a model as a folder that chiasm reads without looking anything up.

    Args:
        model: folder, file or public name.
        out: new folder.
    """
    from chiasm.core.files import check_new_folder
    from chiasm.models._store import keep, load_model
    from chiasm.models.encoder import PictureModel
    from chiasm.weights import artefact
    from chiasm.weights.card import Card
    from chiasm.weights.find import find

    check_new_folder(out, "choose another --out")
    stored = find(model)
    loaded = load_model(stored, PictureModel)
    origin = stored.origin()
    card = Card.now(
        title=f"{model}, kept",
        data=f"as {model}",
        command=shlex.join(["chiasm", "models", "keep", model, "--out", str(out)]),
        seconds=0.0,
        settings={"made from": f"{model} ({stored.layout}, {stored.fingerprint})"},
        metrics=origin.metrics,
        before=origin.card,
    )
    kept = keep(stored, loaded, loaded.state_dict(), out, card)
    return Kept(
        out=str(out),
        kind=kept.model,
        tasks=kept.tasks,
        num_parameters=kept.num_parameters(),
        num_bytes=(out / artefact.WEIGHTS).stat().st_size,
    )
