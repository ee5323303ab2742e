"""Pictures in memory and a model that sees their colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Example, Source, Splits
from chiasm.core.predictors import Embeddings


class Pictures:
    """A source of given pictures; a picture of None is broken."""

    def __init__(
        self, name: str, pictures: Sequence[np.ndarray | None], labels: Sequence[int | None], classes: tuple[str, ...]
    ) -> None:
        self.name = name
        self.classes = classes
        self._pictures = pictures
        self._labels = labels

    def __len__(self) -> int:
        return len(self._pictures)

    def key(self, index: int) -> str:
        return f"{index:04}"

    def label(self, index: int) -> int | None:
        return self._labels[index]

    def digest(self, index: int) -> str:
        picture = self._pictures[index]
        if picture is None:
            return f"torn {index}"
        return picture.tobytes().hex()

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        picture = self._pictures[index]
        if picture is None:
            raise BrokenPictureError(self.key(index), "torn")
        return Example(self.key(index), picture, self._labels[index])


class MeanColour:
    """Mean colour around mid-grey as a vector, with noise of a given strength."""

    def __init__(self, name: str = "colour", noise: float = 0.0) -> None:
        self.name = name
        self.fingerprint = f"{name}-{noise}"
        self.embed_dim = 3
        self._noise = noise
        self.text: Any = None
        self.own_classes = None

    def embed(self, source: Source) -> Embeddings:
        vectors, keys, labels, skipped = [], [], [], []
        for index in range(len(source)):
            try:
                example = source.read(index)
            except BrokenPictureError as error:
                skipped.append((error.key, error.reason))
                continue
            vectors.append(example.picture.reshape(-1, 3).mean(axis=0) / 127.5 - 1)
            keys.append(example.key)
            labels.append(-1 if example.label is None else example.label)
        noise = self._noise * np.random.default_rng(0).normal(size=(len(keys), 3))
        array = (np.array(vectors).reshape(-1, 3) + noise).astype(np.float32)
        # As a cache mapped from a file would be.
        array.flags.writeable = False
        norms = np.ones(len(keys), np.float32)
        labelled = np.array(labels, dtype=np.int64)
        return Embeddings(array, norms, tuple(keys), labelled, source.classes, tuple(skipped))


class ColourWords:
    """Text as the colour that it names, in the space of `MeanColour`; remembers what it was asked."""

    def __init__(self) -> None:
        self.logit_scale = 5.0
        self.logit_bias: float | None = None
        self.fingerprint = "words"
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        found = np.full((len(texts), 3), -0.5, np.float32)
        for row, text in zip(found, texts, strict=True):
            for channel, words in enumerate((("red", " r"), ("green", " g"), ("blue", " b"))):
                row[channel] = 0.5 if any(word in f"{text} " for word in words) else -0.5
        return found / np.linalg.norm(found, axis=1, keepdims=True)


class Reading(MeanColour):
    """A model that sees colours and reads their names."""

    def __init__(self, name: str = "colour", noise: float = 0.0) -> None:
        super().__init__(name, noise)
        self.text = ColourWords()


Maker = Callable[..., Pictures]
_COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))


@pytest.fixture
def pictures() -> type[Pictures]:
    return Pictures


@pytest.fixture
def mean_colour() -> type[MeanColour]:
    return MeanColour


@pytest.fixture
def reading() -> type[Reading]:
    return Reading


@pytest.fixture
def coloured() -> Maker:
    """Make a source of small pictures in the colours of three classes, more or less."""

    def make(
        name: str, num_each: int, seed: int, spread: float = 25.0, classes: tuple[str, ...] = ("r", "g", "b")
    ) -> Pictures:
        generator = np.random.default_rng(seed)
        labels = [label for label in range(len(classes)) for _ in range(num_each)]
        made = []
        for label in labels:
            colour = np.array(_COLOURS["rgb".index(classes[label])]) + spread * generator.normal(size=3)
            made.append((np.zeros((8, 10, 3)) + colour).clip(0, 255).astype(np.uint8))
        return Pictures(name, made, labels, classes)

    return make


@pytest.fixture
def splits(coloured: Maker) -> Splits:
    return Splits(coloured("train", 12, 0), coloured("test", 8, 1))
