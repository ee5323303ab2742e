"""Both splits of a labelled data set as vectors under one numbering of the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Splits
from chiasm.core.predictors import Embeddings, Encoder
from chiasm.ops.labels import relabel


@dataclass(frozen=True, slots=True)
class Labelled:
    """Vectors of the readable pictures that have a class.

    Attributes:
        vectors: one row per picture.
        labels: class index of each picture.
        keys: identity of each picture within its source.
    """

    vectors: Float[np.ndarray, "B D"]
    labels: Int[np.ndarray, " B"]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitVectors:
    """What an evaluation on frozen features works with.

    Attributes:
        train: to learn from.
        test: to be judged on.
        classes: names that the labels of both point into.
        is_one_source: both splits are the same source, so each test picture is among the training ones.
        skipped: pictures of either split that could not be read, and why.
    """

    train: Labelled
    test: Labelled
    classes: tuple[str, ...]
    is_one_source: bool
    skipped: dict[str, str]

    @property
    def num_neighbours(self) -> int:
        """Training pictures that a test picture can be compared with."""
        return len(self.train.labels) - int(self.is_one_source)


def embed_splits(model: Encoder, data: Splits) -> SplitVectors:
    """Embed both splits; pictures without a class are left out.

    Raises:
        InputError: a split has no classes or no labelled picture, there are fewer than two classes, or the test split
            has a class that the training split does not name.
    """
    for split in (data.train, data.test):
        if not split.classes:
            raise InputError("pictures with classes", f"{split.name} has none", "use one folder per class")
    if len(data.train.classes) < 2:
        raise InputError("at least two classes", f"{data.train.name} has one", "add pictures of another class")
    foreign = [name for name in data.test.classes if name not in data.train.classes]
    if foreign:
        raise InputError(
            f"the classes of {data.train.name} in {data.test.name}",
            f"it also has {foreign[0]!r}",
            "add that class to the training pictures or take it out of the test",
        )
    train, test = model.embed(data.train), model.embed(data.test)
    return SplitVectors(
        train=_labelled(train, data.train, data.train.classes),
        test=_labelled(test, data.test, data.train.classes),
        classes=data.train.classes,
        is_one_source=data.train.name == data.test.name,
        skipped=dict(train.skipped + test.skipped),
    )


def _labelled(embeddings: Embeddings, source: Source, classes: tuple[str, ...]) -> Labelled:
    labels = relabel(embeddings.labels, embeddings.classes, classes)
    kept = np.flatnonzero(labels >= 0)
    if len(kept) == 0:
        raise InputError(f"labelled pictures in {source.name}", "none has a class", "use one folder per class")
    return Labelled(embeddings.vectors[kept], labels[kept], tuple(embeddings.keys[row] for row in kept))
