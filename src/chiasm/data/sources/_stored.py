"""What all sources of stored pictures share: names, keys, labels, and pictures that are kept as the bytes of a file."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.core.example import Example, QuestionAnswer
from chiasm.data.decode import decode


@dataclass(frozen=True, slots=True)
class Content:
    """What is stored of one example.

    Attributes:
        picture: the whole picture file.
        captions: sentences that describe it.
        questions: about it, with their answers.
    """

    picture: bytes
    captions: tuple[str, ...] = ()
    questions: tuple[QuestionAnswer, ...] = ()


class StoredPictures(ABC):
    """A source over picture files, wherever their bytes lie; a subclass fetches them.

    Args:
        name: the text that opens it again.
        keys: one per picture, in order. Here, in the name and in class names, bytes that are no Unicode (as file names
            may hold) become backslash escapes: every table, log and answer that they go into is UTF-8.
        classes: class names.
        labels: class index of each picture; empty where pictures have no class.
    """

    def __init__(
        self, name: str, keys: Sequence[str], classes: Sequence[str] = (), labels: Sequence[int | None] = ()
    ) -> None:
        self._name = _printable(name)
        self._keys = tuple(map(_printable, keys))
        self._classes = tuple(map(_printable, classes))
        self._labels = tuple(labels)

    @property
    def name(self) -> str:
        return self._name

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        return self._keys[index]

    def label(self, index: int) -> int | None:
        return self._labels[index] if self._labels else None

    def digest(self, index: int) -> str:
        """A digest of the picture file's bytes.

        Raises:
            BrokenPictureError: they cannot be read.
        """
        return digest_of(self._content(index).picture)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read one example; a JPEG may come at a reduced size that `min_side_px` allows.

        Raises:
            BrokenPictureError: the picture cannot be read or decoded.
        """
        key, content = self._keys[index], self._content(index)
        picture = decode(content.picture, key, min_side_px)
        return Example(key, picture, self.label(index), content.captions, questions=content.questions)

    @abstractmethod
    def _content(self, index: int) -> Content:
        """Fetch what is stored of one example; called from many threads at once.

        Raises:
            BrokenPictureError: it cannot be read.
        """


def digest_of(data: bytes) -> str:
    """32 hexadecimal digits that tell these bytes from any others."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _printable(text: str) -> str:
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")
