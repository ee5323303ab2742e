"""From the text a person writes to a stored model: a folder, a file, a name on a hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chiasm.core.errors import InputError, nearest
from chiasm.core.files import expanded
from chiasm.weights import artefact
from chiasm.weights.checkpoint import Checkpoint, Foreign, read_file, read_folder
from chiasm.weights.hub import cached, fetch, is_hub_name
from chiasm.weights.stored import Stored

PICKLE = "pickle:"
"""Before the name of a checkpoint: read its pickled weights, which are trusted."""
STARTER = "starter"
"""The model that comes with the library."""
PARTS = "parts"
"""Settings of a checkpoint that is put together with others: their names, by what they are to it."""


def find(name: str) -> Stored:
    """The model that a text names.

    Args:
        name: the folder of an artefact; a folder as hubs keep them (`config.json`, `model.safetensors`); a single
            `.safetensors` file; `starter`, the model that comes with the library; `organisation/model` or
            `organisation/model@revision` on the Hugging Face hub, with `hf:` before it where a path of that name is
            near; any of these after `pickle:` for one whose weights are pickled. Where the settings of a checkpoint
            name other models as its parts, these are found too.

    Raises:
        InputError: nothing of the kind is there, or no layout knows it.
    """
    found = _alone(name)
    if isinstance(found, Checkpoint):
        return Foreign(replace(found, parts=_parts(found)))
    return found


def starter() -> artefact.Artefact:
    """The model that comes with the library."""
    return replace(artefact.read(Path(__file__).with_name(STARTER)), called=STARTER)


def _alone(name: str) -> Stored | Checkpoint:
    """What a text names, without the parts that its settings name."""
    pickled = name.startswith(PICKLE)
    where = name.removeprefix(PICKLE)
    path = expanded(where)
    folder = path.parent if path.name == artefact.WEIGHTS else path
    if name == STARTER and not _is_there(path):
        return starter()
    if not pickled and _is_there(path) and artefact.is_artefact(folder):
        return artefact.read(folder)
    return _checkpoint(where, path, pickled=pickled)


def _parts(checkpoint: Checkpoint) -> dict[str, Stored]:
    """The parts that the settings of a checkpoint name; they have none themselves.

    Raises:
        InputError: they are not named as models are, one is not there, or its weights are pickled and nobody who named
            the whole asked for that.
    """
    named = checkpoint.settings.get(PARTS, {})
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named.values()):
        raise InputError(
            f"names of models as {PARTS} of {checkpoint.name}", f"{named!r} came", "name a folder for each"
        )
    found: dict[str, Stored] = {}
    for part, name in named.items():
        if name.startswith(PICKLE) and not checkpoint.is_pickled:
            came = f"{checkpoint.name} names {name} as its {part}, and pickles can carry code"
            raise InputError("parts with weights as safetensors", came, "take a safetensors version of it")
        stored = _alone(_beside(name, checkpoint.folder))
        found[part] = Foreign(stored) if isinstance(stored, Checkpoint) else stored
    return found


def _beside(name: str, folder: Path | None) -> str:
    """The name of a part, a path from the folder of the whole where it leads to something there."""
    prefix = PICKLE if name.startswith(PICKLE) else ""
    near = None if folder is None else folder / expanded(name.removeprefix(PICKLE))
    return f"{prefix}{near}" if near is not None and _is_there(near) else name


def _checkpoint(name: str, path: Path, *, pickled: bool) -> Checkpoint:
    if _is_there(path):
        return (read_folder if path.is_dir() else read_file)(path, name, pickled=pickled)
    is_public = is_hub_name(name)
    folder = cached(name, pickled=pickled) if is_public else None
    near = None if folder else _near(path)
    if near is not None:
        do = f"did you mean {near}" + (f" (for the one on the hub write hf:{name})" if is_public else "")
        raise InputError("the folder or file of a model", f"{name} does not exist", do)
    if not is_public:
        raise InputError(
            f"the folder or file of a model, its name on the hub (organisation/model), or {STARTER}",
            f"{name} is none of them",
            "check the path, or train a model with `chiasm train`",
        )
    return read_folder(folder or fetch(name, pickled=pickled), name, pickled=pickled)


def _is_there(path: Path) -> bool:
    """Whether a path leads to something.

    Raises:
        InputError: it cannot be said, since the path is too long or leads through a closed folder.
    """
    try:
        return path.exists()
    except OSError as error:
        raise InputError(
            "the folder or file of a model", f"{path} cannot be looked at ({error.strerror})", "check the path"
        ) from None


def _near(path: Path) -> Path | None:
    """A neighbour of a path that leads nowhere, spelt almost as it."""
    try:
        neighbours = sorted(item.name for item in path.parent.iterdir())
    except OSError:
        # There is no such folder, or nobody may look into it: no neighbour is known.
        return None
    name = nearest(path.name, neighbours)
    return path.with_name(name) if name else None
