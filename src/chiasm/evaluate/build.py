"""Build: vectors of many models on many data sets as files in TTI-Eval's layout, to be judged there or by `stored`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.core.tables import Value
from chiasm.data.described import describe
from chiasm.data.prompts import PLAIN, Templates
from chiasm.data.splits import derived_part
from chiasm.data.stored_vectors import StoredVectors, vectors_path, write_vectors
from chiasm.evaluate._answer import Evaluation, Result
from chiasm.evaluate._grid import grid, name_of_test
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._vectors import embed_splits


class BuiltResult(Result):
    """What `build` wrote for one model and data set.

    Attributes:
        files: the file of each split.
        num_train, num_validation: pictures in them.
        classes: their names in the order of their numbers, which the files do not hold.
    """

    files: tuple[Path, ...]
    num_train: int
    num_validation: int
    classes: tuple[str, ...]

    def figures(self) -> Mapping[str, Value]:
        return {
            "train": self.num_train,
            "validation": self.num_validation,
            "classes": len(self.classes),
            "folder": str(self.files[0].parent),
        }


def build(
    models: Sequence[Encoder],
    *,
    data: Sequence[Splits],
    out: Path,
    templates: Templates | None = None,
    **options: Unpack[Options],
) -> Evaluation[BuiltResult]:
    """Write the vectors of models on data sets as `OUT/embeddings/DATASET/MODEL_SPLIT.npz`, for TTI-Eval or `stored`.

    The test pictures become the split `validation`, which is the one that TTI-Eval judges. Files that are there are
    replaced.

    Args:
        models: the encoders, one or several.
        data: training and test pictures, with classes; one data set or several.
        out: the folder to write to.
        templates: sentences around the names of the classes, for a model that reads text.
        options: of every evaluation.

    Raises:
        InputError: no data set has classes in both splits, the place cannot be written, or two models or data sets
            would have the same files.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    plan = Plan(**options)
    _check_apart(models, data, out)

    def judge(model: Encoder, splits: Splits) -> list[BuiltResult]:
        vectors = embed_splits(model, splits)
        classes = _class_vectors(model, vectors.classes, PLAIN if templates is None else templates)
        files = []
        for split, own in (("train", vectors.train), ("validation", vectors.test)):
            files.append(_place(out, splits, model, split))
            write_vectors(files[-1], StoredVectors(own.vectors, classes, own.labels))
        return [
            BuiltResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=splits.test.name,
                files=tuple(files),
                num_train=len(vectors.train.labels),
                num_validation=len(vectors.test.labels),
                classes=vectors.classes,
                skipped=vectors.skipped,
            )
        ]

    found = grid(Evaluation[BuiltResult], "build", map(plan.remembered, models), data, name_of_test, judge)
    return plan.finished(found, lambda pages: pages.plain)


def _place(out: Path, splits: Splits, model: Encoder, split: str) -> Path:
    return vectors_path(out, _name(splits), model.name, split)


def _check_apart(models: Sequence[Encoder], data: Sequence[Splits], out: Path) -> None:
    """Refuse models or data sets whose files would replace each other, before anything is encoded.

    Raises:
        InputError: two of them would.
    """
    pairs: dict[Path, str] = {}
    for model in models:
        for splits in data:
            path, pair = _place(out, splits, model, "train"), f"{model.name} on {splits.test.name}"
            other = pairs.setdefault(path, pair)
            if other is not pair:
                came = f"{other} and {pair} would both write {path}"
                raise InputError("files of its own for each model and data set", came, "give each an --out of its own")


def _class_vectors(model: Encoder, classes: tuple[str, ...], templates: Templates) -> Float[np.ndarray, "K D"]:
    """What the names of the classes mean to the model; none where it reads no text."""
    if model.text is None:
        return np.zeros((0, model.embed_dim), np.float32)
    return describe(model, classes, templates, "take a model that was tied to language").vectors


def _name(splits: Splits) -> str:
    """What both splits are called by: the source that they were drawn from, or the folder that both lie in."""
    drawn = derived_part(splits.test.name)
    if drawn is not None:
        return Path(drawn.spec).name
    train, test = Path(splits.train.name), Path(splits.test.name)
    return test.parent.name if test.parent == train.parent and test.parent.name else splits.test.name
