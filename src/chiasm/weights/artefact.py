"""An artefact: a folder that holds a trained model and everything needed to trust and use it.

    config.json         what to build, which tasks it serves
    model.safetensors   the weights
    card.md             where it came from: data, command, commit, time, metrics
    metrics.json        the figures of the card, for programs

`config.json` is written last and removed first, so a folder that has one is whole; it names the digest of the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from chiasm.core.config import Config
from chiasm.core.errors import InputError, nearest
from chiasm.core.files import read_json, write_json, write_text
from chiasm.core.tensors import count_numbers, read_tensors, write_tensors
from chiasm.weights.card import Card

CONFIG, WEIGHTS, CARD, METRICS = "config.json", "model.safetensors", "card.md", "metrics.json"


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model as it lies on disk.

    Attributes:
        folder: where.
        model: name of the kind of model, as in `chiasm.models`.
        config: what that kind needs to be built.
        tasks: what it serves.
        fingerprint: of config and weights; changes whenever answers could.
        weights_sha256: digest of the file of weights.
    """

    folder: Path
    model: str
    config: Mapping[str, Any]
    tasks: tuple[str, ...]
    fingerprint: str
    weights_sha256: str

    def tensors(self) -> dict[str, Tensor]:
        """Read the weights.

        Raises:
            InputError: the file is missing, damaged, or not the one that the artefact was written with.
        """
        path = self.folder / WEIGHTS
        if _sha256(path) != self.weights_sha256:
            # Other weights under the old fingerprint would mix with vectors that were made before.
            raise InputError(
                f"the weights that {self.folder / CONFIG} names by their digest",
                f"{path} holds others",
                "copy the whole folder again, or train again",
            )
        return read_tensors(path)

    def num_parameters(self) -> int:
        """Numbers in the weights, read from the file's header alone.

        Raises:
            InputError: the file is missing or damaged.
        """
        return count_numbers(self.folder / WEIGHTS)


class _Fields(Config):
    """What stands in `config.json`."""

    format: Literal[1] = 1
    model: str
    tasks: tuple[str, ...]
    weights_sha256: str
    config: dict[str, Any]


def save(
    folder: Path,
    model: str,
    config: Mapping[str, Any],
    tasks: tuple[str, ...],
    tensors: Mapping[str, Tensor],
    card: Card,
) -> Artefact:
    """Write an artefact into a folder, which may hold other files (logs, a checkpoint).

    Raises:
        InputError: the disk is full or cannot be written.
    """
    (folder / CONFIG).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
    write_json(folder / METRICS, dict(card.metrics))
    write_text(folder / CARD, card.markdown())
    fields = _Fields(model=model, tasks=tasks, weights_sha256=_sha256(folder / WEIGHTS), config=dict(config))
    write_json(folder / CONFIG, fields.model_dump(mode="json"))
    return read(folder)


def read(folder: Path) -> Artefact:
    """Read what an artefact says of itself, without its weights.

    Raises:
        InputError: the folder is missing, is no artefact, or is of a newer format.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("the folder of a model", f"{folder} is a file", "name the folder that it is in")
    if not folder.is_dir():
        raise InputError("the folder of a model", f"{folder} does not exist", _near(folder))
    if not (folder / CONFIG).exists():
        raise InputError(
            f"the folder of a model ({CONFIG}, {WEIGHTS})",
            f"{folder} has no {CONFIG}",
            "train one with `chiasm train`, or name another folder",
        )
    values = read_json(folder / CONFIG, "a model's config")
    fields = _Fields.parse(values, str(folder / CONFIG))
    if not (folder / WEIGHTS).exists():
        raise InputError(f"weights beside {folder / CONFIG}", f"{WEIGHTS} is missing", "copy it there or train again")
    identity = json.dumps([fields.model, fields.config, fields.weights_sha256], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return Artefact(folder, fields.model, fields.config, fields.tasks, fingerprint, fields.weights_sha256)


def find(root: Path) -> list[Artefact]:
    """All artefacts at or below a folder, sorted by path; broken ones are left out."""
    found = []
    for path in sorted(root.rglob(CONFIG)):
        try:
            found.append(read(path.parent))
        except InputError:
            # Other programs also name their files config.json.
            continue
    return found


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights at {path}", f"they cannot be read ({error.strerror})", "copy them again") from None


def _near(folder: Path) -> str:
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    near = nearest(folder.name, siblings)
    return f"did you mean {folder.parent / near}" if near else "check the path, or train a model with `chiasm train`"
