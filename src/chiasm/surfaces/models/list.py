"""List the models below a folder, the trunk families that can be trained, and the foreign layouts that are read."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.predictors import Record


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
    """What there is."""

    folder: str
    trunk_families: tuple[str, ...]
    layouts: tuple[ListedLayout, ...]
    models: tuple[ListedModel, ...]


def list(folder: Path = Path("runs")) -> ModelList:
    """List the models at or below a folder, and what else can be named where a model is asked for.

    Args:
        folder: where to look.
    """
    from chiasm import trunks
    from chiasm.weights import artefact, layouts

    if folder.exists() and not folder.is_dir():
        raise InputError("a folder", f"{folder} is a file", "name the folder that your runs are written to")
    if not folder.is_dir():
        raise InputError("a folder", f"{folder} does not exist", "name the folder that your runs are written to")
    found = tuple(
        ListedModel(
            path=str(item.folder),
            kind=item.model,
            trunk=_trunk(item.config),
            num_parameters=item.num_parameters(),
            tasks=item.tasks,
        )
        for item in artefact.find(folder)
    )
    readable = layouts.registry
    return ModelList(
        folder=str(folder),
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
