"""Which files of a folder hold the weights of a model, and which tells what they are the weights of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.files import read_json

SAFE_SUFFIX = ".safetensors"
_INDEX_SUFFIX = ".index.json"
_PICKLED_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".tar")


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which libraries keep a model in a folder.

    Attributes:
        weights: name of the file that holds them; with `.index.json` after it, of the list of their shards.
        settings: name of the file that tells what they are the weights of.
    """

    weights: str
    settings: str

    @property
    def index(self) -> str:
        """Name of the list of shards."""
        return self.weights + _INDEX_SUFFIX

    def is_shard(self, name: str) -> bool:
        """Whether a file has the name of one of the shards (`model-00001-of-00002.safetensors`)."""
        stem, dot, suffix = self.weights.rpartition(".")
        return re.fullmatch(rf"{re.escape(stem)}-\d+-of-\d+{re.escape(dot + suffix)}", name) is not None


# Where a folder holds a model twice, as some of LAION's do, the form that stands first is read.
SAFE = (
    Form("model.safetensors", "config.json"),
    Form("open_clip_model.safetensors", "open_clip_config.json"),
    Form("diffusion_pytorch_model.safetensors", "config.json"),
)
PICKLED = (
    Form("pytorch_model.bin", "config.json"),
    Form("open_clip_pytorch_model.bin", "open_clip_config.json"),
    Form("checkpoint.pt", "config.json"),
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of weights, which need not all be there.

    Attributes:
        files: one, or all shards.
        settings: what tells what they are the weights of; None where there is no such file.
    """

    files: tuple[Path, ...]
    settings: Path | None

    @property
    def missing(self) -> tuple[Path, ...]:
        """Those that are not there."""
        return tuple(file for file in self.files if not file.is_file())


def forms(*, pickled: bool) -> Sequence[Form]:
    """The forms whose weights are pickled, or those whose weights are not."""
    return PICKLED if pickled else SAFE


def weights_in(folder: Path, *, pickled: bool = False) -> Weights | None:
    """The weights that a folder holds in one of the known forms; None where it holds none.

    A folder with one safetensors file of another name holds these.

    Raises:
        InputError: a list of shards cannot be read.
    """
    for form in forms(pickled=pickled):
        if (folder / form.weights).is_file():
            return Weights((folder / form.weights,), _settings(folder, form))
        if (folder / form.index).is_file():
            return Weights(_shards(folder / form.index), _settings(folder, form))
    single = [] if pickled else sorted(folder.glob(f"*{SAFE_SUFFIX}"))
    return Weights((single[0],), _settings(folder, SAFE[0])) if len(single) == 1 else None


def weights_at(file: Path) -> Weights:
    """The weights in a file that was named; settings only if it has the name of a known form and they lie beside it."""
    for form in (*SAFE, *PICKLED):
        if file.name == form.weights and (file.parent / form.settings).is_file():
            return Weights((file,), file.parent / form.settings)
    return Weights((file,), None)


def none_in(folder: Path, name: str, *, pickled: bool) -> InputError:
    """What to say of a folder without weights, or without those that may be read."""
    other = weights_in(folder, pickled=not pickled)
    if pickled:
        known = " or ".join(form.weights for form in PICKLED)
        do = f"try {name} itself" if other else "name the folder of a model"
        return InputError(f"pickled weights ({known}) in {folder}", "there are none", do)
    if other:
        return refused(other.files[0].name, name)
    several = [file.name for file in sorted(folder.glob(f"*{SAFE_SUFFIX}"))]
    if several:
        came = f"there are several others, such as {several[0]}"
        return InputError(f"weights ({SAFE[0].weights}) in {folder}", came, "name the one that you mean")
    return InputError(f"weights ({SAFE[0].weights}) in {folder}", "there are none", "name the folder of a model")


def may_be_pickled(file: Path) -> bool:
    """Whether a file has a name that pickled weights have."""
    return file.suffix in _PICKLED_SUFFIXES


def refused(file_name: str, name: str) -> InputError:
    """What to say of pickled weights that nobody asked for."""
    return InputError(
        "weights as safetensors",
        f"{file_name} of {name} may be pickled, and pickles can carry code",
        f"take a safetensors version, or if you trust it say so by naming it pickle:{name}",
    )


def _settings(folder: Path, form: Form) -> Path | None:
    """The settings of a form, else those of another: some repositories keep only one of the two."""
    names = dict.fromkeys((form.settings, *(other.settings for other in SAFE)))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _shards(index: Path) -> tuple[Path, ...]:
    values = read_json(index, "the list of a model's shards")
    shards = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise InputError(f"a list of shards in {index}", "there is none", "copy or fetch the model again")
    return tuple(index.with_name(str(name)) for name in sorted(set(map(str, shards.values()))))
