"""One picture file, without a label."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.data.sources._files import PICTURE_SUFFIXES, PictureFiles

PRECEDENCE = 50


def recognises(path: Path) -> bool:
    """Whether it is a file that is a picture by its suffix."""
    return path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()


def splits(where: str) -> dict[str, str]:
    """None: one picture cannot be split."""
    del where
    return {}


def picture(where: str, name: str) -> Source:
    """Open one picture; its key is the file's name.

    Raises:
        InputError: there is no such file.
    """
    path = Path(where)
    if not path.is_file():
        raise InputError("a picture file", f"{where} is none", "check the path")
    return PictureFiles(name, [path.name], path.with_name)
