"""Vectors of pictures and classes as TTI-Eval keeps them, so that either tool can judge what the other one made.

    ROOT/embeddings/DATASET/MODEL_SPLIT.npz     `image_embeddings`, `class_embeddings`, `labels`

`class_embeddings` has one row for each class, in the order of its number in `labels`; names are not kept. The splits
are `train`, `validation` and `test`. TTI-Eval is github.com/encord-team/text-to-image-eval.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.files import atomic_path
from chiasm.ops.vectors import unit_rows

FOLDER = "embeddings"
SPLITS = ("train", "validation", "test")
_FILE = re.compile(rf"(?P<model>.+)_(?P<split>{'|'.join(SPLITS)})\.npz")
_ARRAYS = {"image_embeddings": 2, "class_embeddings": 2, "labels": 1}


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """One model's vectors of one split.

    Attributes:
        pictures: of length 1.
        classes: of length 1, one for each class; none where the model reads no text.
        labels: class of each picture.
    """

    pictures: Float[np.ndarray, "B D"]
    classes: Float[np.ndarray, "K D"]
    labels: Int[np.ndarray, " B"]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """Where one model's vectors of one data set are.

    Attributes:
        data: name of the data set.
        model: name of the model.
        files: by split.
    """

    data: str
    model: str
    files: dict[str, Path]


def stored_models(root: Path) -> tuple[StoredModel, ...]:
    """All that a folder holds, by data set and model.

    Raises:
        InputError: it holds nothing of the kind.
    """
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted((root / FOLDER).glob("*/*.npz")):
        match = _FILE.fullmatch(path.name)
        if match is not None:
            found.setdefault((path.parent.name, match["model"]), {})[match["split"]] = path
    if not found:
        raise InputError(
            f"{FOLDER}/DATASET/MODEL_SPLIT.npz in {root}", "there is none", "name the folder that holds `embeddings`"
        )
    return tuple(StoredModel(data, model, files) for (data, model), files in found.items())


def read_vectors(path: Path) -> StoredVectors:
    """Read one file.

    Raises:
        InputError: it cannot be read, or its arrays do not belong together.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in _ARRAYS}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        expected = f"the arrays {', '.join(_ARRAYS)} in {path}"
        raise InputError(expected, f"they cannot be read ({error})", "make the file again") from None
    pictures, classes, labels = arrays.values()
    wrong = [name for name, axes in _ARRAYS.items() if arrays[name].ndim != axes]
    if wrong or len(pictures) != len(labels) or pictures.shape[1] != classes.shape[1]:
        came = ", ".join(f"{name} has the shape {array.shape}" for name, array in arrays.items())
        raise InputError(f"a vector for each label and class in {path}", came, "make the file again")
    numbers = labels.astype(np.int64)
    if len(numbers) == 0 or numbers.min() < 0 or not np.array_equal(numbers, labels):
        raise InputError(f"numbers of classes from 0 up in {path}", "there are others or none", "make the file again")
    return StoredVectors(unit_rows(pictures.astype(np.float32))[0], unit_rows(classes.astype(np.float32))[0], numbers)


def vectors_path(root: Path, data: str, model: str, split: str) -> Path:
    """The place of one file; what cannot stand in a name becomes a hyphen.

    Args:
        root: the folder that holds `embeddings`.
        data: name of the data set.
        model: name of the model.
        split: one of `SPLITS`.
    """
    return root / FOLDER / _plain(data) / f"{_plain(model)}_{split}.npz"


def write_vectors(path: Path, vectors: StoredVectors) -> None:
    """Write one file.

    Raises:
        InputError: the place cannot be written or the disk is full.
    """
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(
            file,
            image_embeddings=vectors.pictures,
            class_embeddings=vectors.classes,
            labels=vectors.labels,
            allow_pickle=False,
        )


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"
