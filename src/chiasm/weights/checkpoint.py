"""`Checkpoint`: somebody else's files, read but not yet understood; `Foreign`: a checkpoint that a layout understands.

Only safetensors files are read unless a person asks for a pickled one by name (`pickle:path`); even then nothing but
tensors and plain containers is unpickled (`torch.load(weights_only=True)`), and no code from a hub is ever run.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.files import read_json, read_text
from chiasm.core.tensors import read_shapes, read_tensors
from chiasm.weights.layouts import Reading, layout_of
from chiasm.weights.stored import Origin, Stored
from chiasm.weights.vocabulary import vocabulary_in

_WEIGHTS = ("model.safetensors", "open_clip_model.safetensors", "diffusion_pytorch_model.safetensors")
_SHARDS = "model.safetensors.index.json"
_PICKLED = ("pytorch_model.bin", "open_clip_pytorch_model.bin")
_SETTINGS = ("open_clip_config.json", "config.json")
_PROCESSOR = "preprocessor_config.json"
# In published pickles the weights often lie one level down, beside optimiser states and options.
_NESTS = ("model", "state_dict", "teacher", "module", "model_ema")


@dataclass(frozen=True)
class Checkpoint:
    """Files of somebody else's model.

    Attributes:
        name: how a person calls it.
        files: that hold the weights.
        is_pickled: whether they are pickled, which only an explicit wish makes true.
        settings: of its configuration file; empty where a single file came without one.
        processor: settings of its picture processor (`preprocessor_config.json`); may be empty.
        folder: that its other files (tokenizer) lie in; None for a single file.
    """

    name: str
    files: tuple[Path, ...]
    is_pickled: bool
    settings: Mapping[str, Any]
    processor: Mapping[str, Any]
    folder: Path | None

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
        """All tensors.

        Raises:
            InputError: a file is missing or damaged.
        """
        found: dict[str, Tensor] = self._unpickled if self.is_pickled else {}
        for file in () if self.is_pickled else self.files:
            found |= read_tensors(file)
        return found

    @cached_property
    def digest(self) -> str:
        """Of the content of all files of weights; they are read whole, but for those that a hub names by digest."""
        whole = hashlib.sha256()
        for file in self.files:
            whole.update(_file_digest(file).encode())
        return whole.hexdigest()

    @cached_property
    def _unpickled(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for file in self.files:
            found |= _unpickle(file)
        return found


def read_folder(folder: Path, name: str, *, pickled: bool = False) -> Checkpoint:
    """A checkpoint as hubs keep them: configuration and weights in one folder.

    Args:
        folder: where.
        name: how a person calls it.
        pickled: read pickled weights.

    Raises:
        InputError: there are no weights, or only pickled ones and nobody asked for those.
    """
    files = _pickled_in(folder, name) if pickled else _safe_in(folder, name)
    settings: dict[str, Any] = {}
    for file in (folder / name for name in _SETTINGS):
        if file.is_file():
            settings = read_json(file, "the settings of a model")
            break
    processor = folder / _PROCESSOR
    return Checkpoint(
        name=name,
        files=files,
        is_pickled=pickled,
        settings=settings,
        processor=read_json(processor, "the settings of a processor") if processor.is_file() else {},
        folder=folder,
    )


def read_file(file: Path, name: str, *, pickled: bool = False) -> Checkpoint:
    """A checkpoint that is a single file; its layout and sizes are told from the tensors alone.

    Raises:
        InputError: the file is pickled and nobody asked for that.
    """
    if file.suffix != ".safetensors" and not pickled:
        raise _refused(file, name)
    return Checkpoint(name=name, files=(file,), is_pickled=pickled, settings={}, processor={}, folder=None)


class Foreign(Stored):
    """A checkpoint in our words.

    Raises:
        InputError: no layout knows the checkpoint, or its settings ask for what our models lack.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._layout, self._module = _understood(checkpoint)
        self._reading: Reading = self._module.read(checkpoint)
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
    def fingerprint(self) -> str:
        identity = json.dumps([self.model, self.config, self.checkpoint.digest], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    def tensors(self) -> dict[str, Tensor]:
        return self._module.translate(self.checkpoint.tensors(), self._reading)

    def num_parameters(self) -> int:
        return sum(prod(shape) for shape in self.checkpoint.shapes.values())

    def tokenizer(self) -> str:
        folder = self.checkpoint.folder
        if folder is None:
            raise InputError("a tokenizer beside the weights", f"{self.name} is a single file", "name its whole folder")
        return vocabulary_in(folder, self.name)


def _understood(checkpoint: Checkpoint) -> tuple[str, ModuleType]:
    found = layout_of(checkpoint)
    if found is None:
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


def _safe_in(folder: Path, name: str) -> tuple[Path, ...]:
    index = folder / _SHARDS
    if index.is_file():
        shards = read_json(index, "the list of a model's shards").get("weight_map", {})
        return tuple(folder / shard for shard in sorted(set(shards.values())))
    for file in (folder / known for known in _WEIGHTS):
        if file.is_file():
            return (file,)
    single = sorted(folder.glob("*.safetensors"))
    if len(single) == 1:
        return (single[0],)
    pickled = [folder / known for known in _PICKLED if (folder / known).is_file()]
    if pickled:
        raise _refused(pickled[0], name)
    raise InputError(f"weights ({_WEIGHTS[0]}) in {folder}", "there are none", "name the folder of a model")


def _pickled_in(folder: Path, name: str) -> tuple[Path, ...]:
    for file in (folder / known for known in _PICKLED):
        if file.is_file():
            return (file,)
    raise InputError(f"pickled weights ({' or '.join(_PICKLED)}) in {folder}", "there are none", f"try {name} itself")


def _refused(file: Path, name: str) -> InputError:
    return InputError(
        "weights as safetensors",
        f"{file.name} of {name} may be pickled, and pickles can carry code",
        f"take a safetensors version, or if you trust it say so by naming it pickle:{name}",
    )


def _unpickle(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        came = "it holds other objects, which could run code"
        raise InputError(f"nothing but tensors in {file}", came, "convert it to safetensors") from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"a pickled checkpoint at {file}", f"it cannot be read ({error})", "copy it again") from None
    for nest in _NESTS:
        if isinstance(content, dict) and isinstance(content.get(nest), dict):
            content = content[nest]
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)} if content else {}
    if not tensors:
        raise InputError(f"tensors in {file}", "there are none", "check the file")
    return tensors


def _file_digest(file: Path) -> str:
    """Digest of a file; the cache of a hub links to files that are named by it."""
    target = file.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", target):
        return target
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights at {file}", f"they cannot be read ({error.strerror})", "copy them again") from None
