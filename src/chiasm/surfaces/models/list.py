"""List the starter and the models below a folder, the trunk families, and the foreign layouts that are read."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.predictors import Record

USUAL = Path("runs")


class ListedModel(Record):
    """One artefact."""

    path: str
    kind: str
    trunk: str
    num_parameters: int
    tasks: tuple[str, ...]


class ListedLayout(Record):
    """One way in which other libraries store models."""

    layout: str
    reads: str


class ModelList(Record):
    """What there is.

    Attributes:
        folder: where models were looked for; None where there was no place to look.
        trunk_families: kinds of trunk that can be trained.
        layouts: of checkpoints of other libraries.
        models: the starter, then those of the folder.
    """

    folder: str | None
    trunk_families: tuple[str, ...]
    layouts: tuple[ListedLayout, ...]
    models: tuple[ListedModel, ...]


def list(folder: Path | None = None) -> ModelList:
    """List the models at or below a folder, and what else can be named where a model is asked for.

    Args:
        folder: where to look; `runs` unless given, where there is one.
    """
    from chiasm import trunks
    from chiasm.weights import artefact, layouts
    from chiasm.weights.find import starter

    if folder is not None and not folder.is_dir():
        came = f"{folder} is a file" if folder.exists() else f"{folder} does not exist"
        raise InputError("a folder", came, "name the folder that your runs are written to")
    looked = folder or (USUAL if USUAL.is_dir() else None)
    found = tuple(
        ListedModel(
            path=item.name,
            kind=item.model,
            trunk=_trunk(item.config),
            num_parameters=item.num_parameters(),
            tasks=item.tasks,
        )
        for item in (starter(), *(artefact.find(looked) if looked else ()))
    )
    readable = layouts.registry
    return ModelList(
        folder=str(looked) if looked else None,
        trunk_families=trunks.registry.names(),
        layouts=tuple(ListedLayout(layout=name, reads=readable.summary(name)) for name in readable.names()),
        models=found,
    )


def _trunk(config: object) -> str:
    """Family and size in words; of a model with several encoders, of the one for pictures."""
    while isinstance(config, dict) and "trunk" not in config:
        config = config.get("encoder") or config.get("image")
    trunk = config.get("trunk", {}) if isinstance(config, dict) else {}
    return " ".join(str(trunk[key]) for key in ("family", "size") if trunk.get(key))
