"""`Example`: one picture and whatever is known about it; `Source`: where examples come from.

All sources (folders, tables, shards, the embedded world) speak these two types. Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of one picture, on the pixel grid of the picture it comes with.

    Attributes:
        boxes: `xyxy` in pixels, one row per object; right and bottom edges are exclusive.
        masks: visible pixels of each object, in the order of `boxes`.
        classes: class index of each object, into the source's `object_classes`.
        semantic: class index + 1 at each pixel, 0 where there is background.
        panoptic: object index + 1 at each pixel, 0 where there is background.
    """

    boxes: Float[np.ndarray, "M 4"]
    masks: Bool[np.ndarray, "M H W"]
    classes: Int[np.ndarray, " M"]
    semantic: UInt8[np.ndarray, "H W"]
    panoptic: UInt8[np.ndarray, "H W"]


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """A question about a picture and its answer; `kind` says what is asked (exists, count, colour ...)."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Edit:
    """An instruction and the picture after following it; the picture before is the example's own."""

    instruction: str
    after: UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True, slots=True)
class Example:
    """One picture and what is known about it.

    Attributes:
        key: identity within the source, stable between runs: relative path, shard member, world index.
        picture: RGB, row 0 at the top, 0 to 255.
        label: class index into the source's `classes`, if the source has classes.
        captions: sentences that describe the picture; may be empty.
        truth: masks and boxes, where the source has them and was asked for them.
        questions: question-answer pairs; may be empty.
        edit: an edit triple's instruction and result, where the source has one and was asked for it.
    """

    key: str
    picture: UInt8[np.ndarray, "H W 3"]
    label: int | None = None
    captions: tuple[str, ...] = ()
    truth: Truth | None = None
    questions: tuple[QuestionAnswer, ...] = ()
    edit: Edit | None = None


@runtime_checkable
class Source(Protocol):
    """A finite, indexable set of examples. All methods may be called from many threads at once."""

    @property
    def name(self) -> str:
        """The text that opens this source again ("photos/", "world:train?size=64")."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names that `Example.label` points into; empty where pictures have no class."""
        ...

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """Identity of one example, without reading it."""
        ...

    def label(self, index: int) -> int | None:
        """Class of one example, without decoding its picture."""
        ...

    def digest(self, index: int) -> str:
        """A text that changes whenever the content of one picture does, told without decoding it.

        Raises:
            BrokenPictureError: what is stored cannot be read.
        """
        ...

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read one example.

        Args:
            index: 0 to `len(self) - 1`.
            min_side_px: the shorter side that suffices; a source may return a smaller version of the picture as long
                as its shorter side is at least this long (or the picture itself is smaller). None: full size.

        Raises:
            BrokenPictureError: the picture cannot be decoded.
        """
        ...


@runtime_checkable
class Knowing(Protocol):
    """A source that knows its pictures well enough to check what is said about them."""

    def check(self, index: int, text: str) -> tuple[bool, ...]:
        """Whether each object that a text names is in a picture, as it is said to look; empty where none is named."""
        ...


Judged = Annotated[Source, "pictures to judge a model on"]
"""A source that nothing is learnt from; in a shell the test split of what is named, or all of it (`open_judged`)."""


@dataclass(frozen=True, slots=True)
class Splits:
    """A training and a test source over the same classes."""

    train: Source
    test: Source


class Subset:
    """Some examples of another source, in a given order."""

    def __init__(self, source: Source, indices: Sequence[int], name: str) -> None:
        self._source = source
        self._indices = tuple(indices)
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def classes(self) -> tuple[str, ...]:
        return self._source.classes

    def __len__(self) -> int:
        return len(self._indices)

    def key(self, index: int) -> str:
        return self._source.key(self._indices[index])

    def label(self, index: int) -> int | None:
        return self._source.label(self._indices[index])

    def digest(self, index: int) -> str:
        return self._source.digest(self._indices[index])

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        return self._source.read(self._indices[index], min_side_px)
