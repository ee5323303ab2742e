"""Both splits of a labelled data set as vectors under one numbering of the classes."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Splits
from chiasm.core.predictors import Embeddings, Encoder
from chiasm.data.among import are_copies, is_among
from chiasm.ops.labels import relabel

KNOWN, COPY = "it is also a training picture", "it is a copy of another picture"
"""Why a picture is left out whose content is that of a training picture, or that comes twice."""


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
        skipped: pictures of either split that were left out, and why.
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


def embed_apart(model: Encoder, data: Splits) -> SplitVectors:
    """The same, without test pictures that are also training pictures, under whatever name: their class was told.

    Where both splits are one source, each picture is to be judged by the others: of copies the first one is kept.

    Raises:
        InputError: as of `embed_splits`, or no test picture is left.
    """
    vectors = embed_splits(model, data)
    keys = vectors.test.keys
    if vectors.is_one_source:
        is_copy = are_copies(data.test, keys)
        copies = {keys[row]: COPY for row in np.flatnonzero(is_copy)}
        train, test = _without(vectors.train, copies), _without(vectors.test, copies)
        return replace(vectors, train=train, test=test, skipped={**vectors.skipped, **copies})
    is_known = is_among(data.train, data.test, keys, np.ones(len(keys), bool))
    if is_known.all():
        raise InputError(
            f"pictures in {data.test.name} that are not in {data.train.name}",
            "all of them are in both",
            "use two splits, or `knn` with one and the same name for both",
        )
    known = {keys[row]: KNOWN for row in np.flatnonzero(is_known)}
    return replace(vectors, test=_without(vectors.test, known), skipped={**vectors.skipped, **known})


def _without(pictures: Labelled, keys: Container[str]) -> Labelled:
    """The others."""
    kept = [row for row, key in enumerate(pictures.keys) if key not in keys]
    return Labelled(pictures.vectors[kept], pictures.labels[kept], tuple(pictures.keys[row] for row in kept))


def _labelled(embeddings: Embeddings, source: Source, classes: tuple[str, ...]) -> Labelled:
    labels = relabel(embeddings.labels, embeddings.classes, classes)
    kept = np.flatnonzero(labels >= 0)
    if len(kept) == 0:
        raise InputError(f"labelled pictures in {source.name}", "none has a class", "use one folder per class")
    return Labelled(embeddings.vectors[kept], labels[kept], tuple(embeddings.keys[row] for row in kept))
