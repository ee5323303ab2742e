"""An artefact: a folder that holds a trained model and everything needed to trust and use it.

    config.json         what to build, which tasks it serves
    model.safetensors   the weights
    tokenizer.json      how text becomes numbers, where the model reads text
    card.md             where it came from: data, command, commit, time, metrics
    metrics.json        the figures of the card, for programs

`config.json` is written last and removed first, so a folder that has one is whole; it names the digest of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from chiasm.core.config import Config
from chiasm.core.errors import InputError, nearest
from chiasm.core.files import read_json, read_text, write_json, write_text
from chiasm.core.tensors import count_numbers, read_tensors, write_tensors
from chiasm.weights.card import Card
from chiasm.weights.stored import Origin, Stored, file_sha256

CONFIG, WEIGHTS, CARD, METRICS = "config.json", "model.safetensors", "card.md", "metrics.json"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Artefact(Stored):
    """A model as it lies on disk.

    Attributes:
        folder: where.
        tasks: what it serves.
        weights_sha256: digest of the file of weights.
        called: its name, where a person does not call it by its folder.
    """

    folder: Path
    model: str
    config: Mapping[str, Any]
    tasks: tuple[str, ...]
    weights_sha256: str
    called: str | None = None

    @property
    def name(self) -> str:
        return self.called or str(self.folder)

    @property
    def digest(self) -> str:
        return self.weights_sha256

    def tensors(self) -> dict[str, Tensor]:
        """Read the weights.

        Raises:
            InputError: the file is missing, damaged, or not the one that the artefact was written with.
        """
        path = self.folder / WEIGHTS
        if file_sha256(path) != self.weights_sha256:
            # Other weights under the old fingerprint would mix with vectors that were made before.
            raise InputError(
                f"the weights that {self.folder / CONFIG} names by their digest",
                f"{path} holds others",
                "copy the whole folder again, or train again",
            )
        return read_tensors(path)

    @property
    def layout(self) -> str:
        return "chiasm"

    def origin(self) -> Origin:
        card, metrics = self.folder / CARD, self.folder / METRICS
        return Origin(
            card.read_text(encoding="utf-8") if card.exists() else "",
            read_json(metrics, "the metrics of a model") if metrics.exists() else {},
        )

    def num_parameters(self) -> int:
        return count_numbers(self.folder / WEIGHTS)

    def tokenizer(self) -> str:
        return read_text(self.folder / TOKENIZER, "the tokenizer of a model")


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
    tokenizer: str | None = None,
) -> Artefact:
    """Write an artefact into a folder, which may hold other files (logs, a checkpoint).

    Args:
        folder: where.
        model: name of the kind of model.
        config: what that kind is built from.
        tasks: what it serves.
        tensors: the weights.
        card: where it came from.
        tokenizer: JSON text of the tokenizer of a model that reads text.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    (folder / CONFIG).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
    describe(folder, card)
    if tokenizer is not None:
        write_text(folder / TOKENIZER, tokenizer)
    fields = _Fields(model=model, tasks=tasks, weights_sha256=file_sha256(folder / WEIGHTS), config=dict(config))
    write_json(folder / CONFIG, fields.model_dump(mode="json"))
    return read(folder)


def describe(folder: Path, card: Card) -> None:
    """Give an artefact another card.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    write_json(folder / METRICS, card.figures)
    write_text(folder / CARD, card.markdown())


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
    return Artefact(folder, fields.model, fields.config, fields.tasks, fields.weights_sha256)


def is_artefact(folder: Path) -> bool:
    """Whether a folder's config was written by `save`; other programs also name their files so."""
    if not (folder / CONFIG).is_file():
        return False
    values = read_json(folder / CONFIG, "a model's config")
    return isinstance(values, dict) and "weights_sha256" in values


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


def _near(folder: Path) -> str:
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    near = nearest(folder.name, siblings)
    return f"did you mean {folder.parent / near}" if near else "check the path, or train a model with `chiasm train`"
