"""What the sources of picture files share: which files are pictures, where they lie, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.example import QuestionAnswer
from chiasm.data.decode import read_file
from chiasm.data.formats import RefusedError, reader_of
from chiasm.data.sources._stored import Content, StoredPictures

# Formats that cannot be read are among them on purpose: such a file is met and reported, not silently left out.
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".avif", ".heic", ".heif", ".jp2", ".jxl"}
)


class PictureFiles(StoredPictures):
    """A source over single files.

    Args:
        name: the text that opens it again.
        keys: one per picture, in order.
        locate: the file of a key.
        classes: class names.
        labels: class index of each picture; empty where pictures have no class.
        captions: sentences for each picture; empty where there are none.
        questions: about each picture, with their answers; empty where there are none.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        locate: Callable[[str], Path],
        classes: Sequence[str] = (),
        labels: Sequence[int | None] = (),
        captions: Sequence[tuple[str, ...]] = (),
        questions: Sequence[tuple[QuestionAnswer, ...]] = (),
    ) -> None:
        super().__init__(name, keys, classes, labels)
        # As the file system has them, which keys need not be.
        self._places = tuple(keys)
        self._locate = locate
        self._captions = tuple(captions)
        self._questions = tuple(questions)

    def _content(self, index: int) -> Content:
        picture = read_file(self._locate(self._places[index]), self.key(index))
        captions = self._captions[index] if self._captions else ()
        return Content(picture, captions, self._questions[index] if self._questions else ())


def is_hidden(name: str) -> bool:
    """Left out everywhere: dot files, and what some archivers leave behind."""
    return name.startswith(".") or name == "__MACOSX"


def entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder that are not hidden, in no particular order.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            yield from (entry for entry in found if not is_hidden(entry.name))
    except OSError as error:
        raise InputError(
            f"a folder that can be read at {folder}", f"it cannot ({error.strerror})", "check its permissions"
        ) from None


def is_picture_file(entry: os.DirEntry[str]) -> bool:
    """Whether a directory entry counts as a picture: by its suffix; without a suffix, by its first bytes.

    Whether it can be read is another matter: a text file named `.jpg` counts, and is reported as broken when read.
    """
    _, _, ending = entry.name.rpartition(".")
    if ending and ending != entry.name:
        return f".{ending.lower()}" in PICTURE_SUFFIXES
    return _begins_like_picture(entry)


def _begins_like_picture(entry: os.DirEntry[str]) -> bool:
    if not entry.is_file():
        return False
    try:
        with Path(entry.path).open("rb") as file:
            reader_of(file.read(32))
    except (RefusedError, PermissionError):
        return False
    return True


def picture_paths(root: Path) -> Iterator[str]:
    """Pictures at any depth below a folder, as posix paths relative to it, in no particular order.

    Links to folders are followed, except to a folder that the link lies in.
    """
    todo: list[tuple[Path, str, tuple[str, ...]]] = [(root, "", (os.path.realpath(root),))]
    while todo:
        folder, prefix, above = todo.pop()
        for entry in entries(folder):
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in above:
                    todo.append((Path(entry.path), f"{prefix}{entry.name}/", (*above, real)))
            elif is_picture_file(entry):
                yield prefix + entry.name


def holds_pictures(folder: Path) -> bool:
    """Whether there is a picture at any depth."""
    return next(picture_paths(folder), None) is not None


def subfolders(folder: Path) -> list[Path]:
    """Folders directly inside a folder, sorted by name, hidden ones left out."""
    return sorted(Path(entry.path) for entry in entries(folder) if entry.is_dir())


def pictures_inside(folder: Path) -> bool:
    """Whether a picture lies directly in a folder."""
    return any(not entry.is_dir() and is_picture_file(entry) for entry in entries(folder))
