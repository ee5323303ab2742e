"""Vectors on disk, found by what they were made of: the content of a picture or text, and the model that read it.

A store is a folder; a shelf in it holds the vectors of one model, in files that are written once and never changed:

    STORE/vectors-1/VERSION/pictures-MODEL/*.vectors     a head, 16 bytes of key a row, then the rows
    STORE/vectors-1/VERSION/broken/*.txt                        why a picture of that content cannot be read

Each file appears whole or not at all, so a process that is killed leaves nothing to mend, and two that work on the same
pictures at once do no harm but to write the same vectors twice. The version of the library is part of the place, since
the code that decodes and resizes pictures is part of what vectors are made of. The folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from chiasm.core.errors import InputError
from chiasm.core.files import atomic_path, read_text, write_text
from chiasm.core.version import __version__

_LAYOUT = "vectors-1"
_SUFFIX = ".vectors"
KEY_BYTES = 16
_MARK = b"vectors1"
_HEAD = struct.Struct("<8sQQ")
"""A mark, the number of rows, the numbers of each."""


def content_key(content: str) -> bytes:
    """Identity of a text or of what a source calls the digest of a picture."""
    return hashlib.blake2b(content.encode("utf-8", errors="surrogatepass"), digest_size=KEY_BYTES).digest()


class VectorStore:
    """The shelves of one folder.

    Args:
        folder: where; it is made when the first vector is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder / _LAYOUT / __version__

    def shelf(self, kind: str, fingerprint: str) -> Shelf:
        """What one model made of one kind of content.

        Args:
            kind: "pictures" or "texts".
            fingerprint: of the model; any text.
        """
        return Shelf(self._root / f"{kind}-{content_key(fingerprint).hex()}")

    def broken(self, key: bytes) -> str | None:
        """Why the picture with this content cannot be read; None where nothing of the kind was noted.

        Raises:
            InputError: the note cannot be read.
        """
        note = self._note(key)
        return read_text(note, "a note on a broken picture") if note.exists() else None

    def note_broken(self, key: bytes, reason: str) -> None:
        """Remember that a picture cannot be read, so that the next one who asks need not try.

        Raises:
            InputError: the place cannot be written or the disk is full.
        """
        write_text(self._note(key), reason)

    def _note(self, key: bytes) -> Path:
        return self._root / "broken" / f"{key.hex()}.txt"


@dataclass(frozen=True, slots=True)
class _Segment:
    """A file of vectors, its rows mapped and not read."""

    keys: UInt8[np.ndarray, "R _"]
    rows: Float[np.ndarray, "R D"]


class Shelf:
    """Rows of numbers of one width, found by key.

    Args:
        folder: where; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, keys: Sequence[bytes], width: int) -> tuple[Float[np.ndarray, "B D"], Bool[np.ndarray, " B"]]:
        """The rows of some keys, and which of them are there; a row that is not is zero.

        Args:
            keys: of 16 bytes.
            width: D.

        Raises:
            InputError: a file of the shelf is damaged or holds rows of another width.
        """
        found, is_there = np.zeros((len(keys), width), np.float32), np.zeros(len(keys), bool)
        wanted: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            wanted.setdefault(key, []).append(place)
        for path in self._files():
            if not wanted:
                break
            segment = _read(path, width)
            own, places = _take(segment, wanted)
            found[places] = segment.rows[own]
            is_there[places] = True
        return found, is_there

    def put(self, keys: Sequence[bytes], rows: Float[np.ndarray, "B D"]) -> None:
        """Keep rows, in a file of their own.

        Raises:
            InputError: the place cannot be written or the disk is full.
        """
        if not keys:
            return
        path = self._folder / f"{secrets.token_hex(8)}{_SUFFIX}"
        with atomic_path(path) as part, part.open("wb") as file:
            file.write(_HEAD.pack(_MARK, *rows.shape))
            file.write(b"".join(keys))
            file.write(np.ascontiguousarray(rows, "<f4").data)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))


def _take(segment: _Segment, wanted: dict[bytes, list[int]]) -> tuple[list[int], list[int]]:
    """Rows of a segment and the places that they are wanted at; what was found is wanted no more."""
    whole = segment.keys.tobytes()
    own: list[int] = []
    places: list[int] = []
    for row in range(len(segment.keys)):
        for place in wanted.pop(whole[row * KEY_BYTES : (row + 1) * KEY_BYTES], ()):
            own.append(row)
            places.append(place)
    return own, places


def _read(path: Path, width: int) -> _Segment:
    """Map a file of the shelf.

    Raises:
        InputError: it is damaged, or its rows have another width.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise _damaged(path, f"it has {size} bytes")
    mark, num_rows, found_width = _HEAD.unpack(head)
    if mark != _MARK or found_width != width or size != _HEAD.size + num_rows * (KEY_BYTES + 4 * width):
        raise _damaged(path, f"{size} bytes are not {num_rows} rows of {width} numbers")
    rows_at = _HEAD.size + num_rows * KEY_BYTES
    return _Segment(
        np.memmap(path, np.uint8, "r", offset=_HEAD.size, shape=(num_rows, KEY_BYTES)),
        np.memmap(path, "<f4", "r", offset=rows_at, shape=(num_rows, width)),
    )


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"a file of vectors at {path}", f"it is damaged ({why})", "remove it; they are made again")
