"""A model that sees colours and counts its work, and folders of coloured pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.core.errors import BrokenPictureError, TooManyBrokenError
from chiasm.core.example import Example, Source
from chiasm.core.predictors import Embeddings
from chiasm.data.decode import decode, read_file
from chiasm.ops.vectors import unit_rows


class Folder:
    """Pictures of a folder; the folders right below it are the classes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)
        self.classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))
        self._keys = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        return self._keys[index]

    def label(self, index: int) -> int | None:
        first, _, rest = self._keys[index].partition("/")
        return self.classes.index(first) if rest else None

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        key = self._keys[index]
        return Example(key, decode(read_file(self.root / key, key), key, min_side_px), self.label(index))

    def digest(self, index: int) -> str:
        return read_file(self.root / self._keys[index], self._keys[index]).hex()


class ColourWords:
    """Text as the mean of the colours that it names, in the space of `ColourEncoder`; remembers what it was asked."""

    COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "purple": (0.7, 0, 0.7), "grey": (1, 1, 1)}

    def __init__(self, logit_scale: float = 10.0, logit_bias: float | None = None) -> None:
        self.logit_scale = logit_scale
        self.logit_bias = logit_bias
        self.fingerprint = f"words {logit_scale} {logit_bias}"
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        named = [[colour for word, colour in self.COLOURS.items() if word in text] for text in texts]
        # Words beside the colours pull a little aside, so that each template counts.
        found = [
            np.mean(colours or [(1, 1, 1)], axis=0) + 0.01 * len(text)
            for colours, text in zip(named, texts, strict=True)
        ]
        return unit_rows(np.array(found, np.float32))[0]


class OwnColours:
    """The classes of a model that was trained on bright and dark pictures: it reads the length of vectors."""

    classes = ("bright, light", "dark")

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        bright = 1 / (1 + np.exp(-20 * (np.linalg.norm(vectors, axis=1) - 0.6)))
        return np.stack([bright, 1 - bright], axis=1)

    def gradients(self, vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
        towards_bright = 20 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.where(classes[:, None] == 0, towards_bright, -towards_bright)


class ColourEncoder:
    """Mean colour as a vector; remembers which pictures it embedded."""

    def __init__(self, name: str = "colour", fingerprint: str = "f1") -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.embed_dim = 3
        self.seen: list[str] = []
        self.text: ColourWords | None = None
        self.own_classes: OwnColours | None = None

    def embed(self, source: Source) -> Embeddings:
        vectors, keys, labels, skipped = [], [], [], []
        for index in range(len(source)):
            try:
                example = source.read(index, 16)
            except BrokenPictureError as error:
                skipped.append((error.key, error.reason))
                continue
            self.seen.append(example.key)
            vectors.append(example.picture.reshape(-1, 3).mean(axis=0) / 255)
            keys.append(example.key)
            labels.append(-1 if example.label is None else example.label)
        if len(skipped) > 0.1 * len(source):
            raise TooManyBrokenError("mostly readable pictures", f"{len(skipped)} are broken", "repair them")
        units, norms = unit_rows(np.array(vectors, dtype=np.float32).reshape(len(keys), 3))
        labelled = np.array(labels, dtype=np.int64)
        return Embeddings(units, norms, tuple(keys), labelled, source.classes, tuple(skipped))


Painter = Callable[[str, tuple[int, int, int]], Path]


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture
def reading() -> ColourEncoder:
    """A model that also reads text."""
    model = ColourEncoder()
    model.text = ColourWords()
    return model


@pytest.fixture
def words() -> type[ColourWords]:
    return ColourWords


@pytest.fixture
def trained() -> ColourEncoder:
    """A model with classes of its own."""
    model = ColourEncoder()
    model.own_classes = OwnColours()
    return model


@pytest.fixture
def encoder_named() -> type[ColourEncoder]:
    return ColourEncoder


@pytest.fixture
def folder() -> type[Folder]:
    return Folder


@pytest.fixture
def paint(tmp_path: Path) -> Painter:
    """Write a picture of one colour to a path below the test's folder."""

    def write(name: str, colour: tuple[int, int, int]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), colour).save(path)
        return path

    return write


@pytest.fixture
def colours(paint: Painter, tmp_path: Path) -> Path:
    """A folder of 2 x 12 reddish and bluish pictures, each of another shade."""
    for number in range(12):
        paint(f"photos/red/{number:02}.png", (200 + 4 * number, 3 * number, 20))
        paint(f"photos/blue/{number:02}.png", (20, 2 * number, 190 + 5 * number))
    return tmp_path / "photos"
