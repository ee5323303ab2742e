"""`Checkpoint`: somebody else's files, read but not yet understood; `Foreign`: a checkpoint that a layout understands.

Only safetensors files are read unless a person asks for a pickled one by name (`pickle:path`); even then nothing but
plain values is unpickled (see `weights.pickled`), and no code from a hub is ever run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.files import read_json, read_text
from chiasm.core.tensors import read_shapes, read_tensors
from chiasm.weights._digests import noted_sha256
from chiasm.weights.folder import SAFE_SUFFIX, Weights, may_be_pickled, none_in, refused, weights_at, weights_in
from chiasm.weights.layouts import Reading, layout_of
from chiasm.weights.pickled import unpickle
from chiasm.weights.stored import Origin, Stored
from chiasm.weights.vocabulary import vocabulary_in

_PROCESSOR = "preprocessor_config.json"
# Since its fifth version transformers keeps the picture processor of a model with a tokenizer as a part of this one.
_PROCESSORS, _PICTURE_PROCESSOR = "processor_config.json", "image_processor"


@dataclass(frozen=True)
class Checkpoint:
    """Files of somebody else's model.

    Attributes:
        name: how a person calls it.
        files: that hold the weights.
        is_pickled: whether they are pickled, which only an explicit wish makes true.
        settings: of its configuration file; empty where a single file came without one.
        processor: settings of its picture processor (`preprocessor_config.json`, or a part of
            `processor_config.json`); may be empty.
        folder: that its other files (tokenizer) lie in; None for a single file.
        parts: other models that it is put together with, by the names that its settings have for them.
    """

    name: str
    files: tuple[Path, ...]
    is_pickled: bool
    settings: Mapping[str, Any]
    processor: Mapping[str, Any]
    folder: Path | None
    parts: Mapping[str, Stored] = field(default_factory=dict)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor by its name; of safetensors files only the headers are read.

        Raises:
            InputError: a file is missing or damaged.
        """
        if self.is_pickled:
            return {name: tuple(tensor.shape) for name, tensor in self._unpickled.items()}
        return {name: shape for file in self.files for name, shape in read_shapes(file).items()}

    def tensors(self) -> dict[str, Tensor]:
        """All tensors; those of a part under our names, after the part's own and a stroke (`language/trunk.norm.bias`).

        Raises:
            InputError: a file is missing or damaged.
        """
        found = {
            f"{part}/{name}": tensor for part, stored in self.parts.items() for name, tensor in stored.tensors().items()
        }
        if self.is_pickled:
            return found | self._unpickled
        return found | {name: tensor for file in self.files for name, tensor in read_tensors(file).items()}

    @cached_property
    def digest(self) -> str:
        """Of the content of all files of weights; they are read whole, but for those that a hub names by digest."""
        whole = hashlib.sha256()
        for file in self.files:
            whole.update(_file_digest(file).encode())
        for part in sorted(self.parts):
            whole.update(f"{part} {self.parts[part].digest}".encode())
        return whole.hexdigest()

    @cached_property
    def _unpickled(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for file in self.files:
            found |= unpickle(file)
        return found


def read_folder(folder: Path, name: str, *, pickled: bool = False) -> Checkpoint:
    """A checkpoint as hubs keep them: configuration and weights in one folder.

    Args:
        folder: where.
        name: how a person calls it.
        pickled: read pickled weights.

    Raises:
        InputError: there are no weights, not all of them, or only pickled ones and nobody asked for those.
    """
    weights = weights_in(folder, pickled=pickled)
    if weights is None:
        raise none_in(folder, name, pickled=pickled)
    if weights.missing:
        raise InputError(
            f"all {len(weights.files)} files of the weights of {name}",
            f"{len(weights.missing)} of them are missing (the first is {weights.missing[0]})",
            "copy or fetch them again",
        )
    return _checkpoint(name, weights, folder, pickled=pickled)


def read_file(file: Path, name: str, *, pickled: bool = False) -> Checkpoint:
    """A checkpoint that is a single file.

    If it has the name that it has in a folder as hubs keep them, and its settings lie beside it, they are read;
    else layout and sizes are told from the tensors alone.

    Raises:
        InputError: the file is pickled and nobody asked for that, or it is no file of weights at all.
    """
    is_safe = file.suffix == SAFE_SUFFIX
    if not is_safe and not pickled:
        if may_be_pickled(file):
            raise refused(file.name, name)
        raise InputError(f"a file of weights ({SAFE_SUFFIX})", f"{name} is another", "name the folder of a model")
    weights = weights_at(file)
    folder = None if weights.settings is None else file.parent
    return _checkpoint(name, weights, folder, pickled=not is_safe)


def _checkpoint(name: str, weights: Weights, folder: Path | None, *, pickled: bool) -> Checkpoint:
    return Checkpoint(
        name=name,
        files=weights.files,
        is_pickled=pickled,
        settings=_settings(weights.settings, "the settings of a model"),
        processor={} if folder is None else _processor(folder),
        folder=folder,
    )


def _processor(folder: Path) -> Mapping[str, Any]:
    """Settings of the picture processor; empty where there is none."""
    what = "the settings of a processor"
    alone = _settings(folder / _PROCESSOR, what)
    within = {} if alone else _settings(folder / _PROCESSORS, what).get(_PICTURE_PROCESSOR)
    return alone or (within if isinstance(within, Mapping) else {})


def _settings(file: Path | None, what: str) -> dict[str, Any]:
    """An object of JSON; empty where there is no such file."""
    if file is None or not file.is_file():
        return {}
    values = read_json(file, what)
    if not isinstance(values, dict):
        raise InputError(f"{what} in {file}", "it holds no named values", "copy or fetch it again")
    return values


class Foreign(Stored):
    """A checkpoint in our words.

    Raises:
        InputError: no layout knows the checkpoint, or its settings ask for what our models lack.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._layout, self._module = _understood(checkpoint)
        self._reading = _read(checkpoint, self._module)
        self.model = self._reading.model
        self.config = self._reading.config

    @property
    def name(self) -> str:
        return self.checkpoint.name

    @property
    def layout(self) -> str:
        return self._layout

    def origin(self) -> Origin:
        card = None if self.checkpoint.folder is None else self.checkpoint.folder / "README.md"
        return Origin(read_text(card, "the card of a model")) if card is not None and card.is_file() else Origin()

    @property
    def digest(self) -> str:
        return self.checkpoint.digest

    def tensors(self) -> dict[str, Tensor]:
        return self._module.translate(self.checkpoint.tensors(), self._reading)

    def num_parameters(self) -> int:
        parts = sum(part.num_parameters() for part in self.checkpoint.parts.values())
        return parts + sum(prod(shape) for shape in self.checkpoint.shapes.values())

    def tokenizer(self) -> str:
        if self._reading.tokenizer is not None:
            return self.checkpoint.parts[self._reading.tokenizer].tokenizer()
        folder = self.checkpoint.folder
        if folder is None:
            raise InputError("a tokenizer beside the weights", f"{self.name} is a single file", "name its whole folder")
        return vocabulary_in(folder, self.name)


def _read(checkpoint: Checkpoint, layout: ModuleType) -> Reading:
    try:
        return layout.read(checkpoint)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Layouts take settings to be of the kind that their library writes.
        raise InputError(
            f"the settings of {checkpoint.name} to be as their library writes them",
            f"they cannot be read ({type(error).__name__}: {error})",
            "copy or fetch them again",
        ) from error


def _understood(checkpoint: Checkpoint) -> tuple[str, ModuleType]:
    found = layout_of(checkpoint)
    if found is None:
        if any(name.startswith("objective.") for name in checkpoint.shapes):
            came = f"{checkpoint.name} holds a run that has not ended"
            raise InputError("a model", came, "finish it with --resume, or choose another model")
        kind = checkpoint.settings.get("model_type") or checkpoint.settings.get("architecture")
        what = (
            f"a {kind}" if kind else f"{len(checkpoint.shapes)} tensors such as {next(iter(checkpoint.shapes), '')!r}"
        )
        raise InputError(
            "a checkpoint in one of the layouts that are read (`chiasm models list`)",
            f"{checkpoint.name} is {what}, which is none of them",
            "choose another model, or another form of this one",
        )
    return found


def _file_digest(file: Path) -> str:
    """Digest of a file; the cache of a hub links to files that are named by it."""
    target = file.resolve().name
    return target if re.fullmatch(r"[0-9a-f]{64}", target) else noted_sha256(file)
