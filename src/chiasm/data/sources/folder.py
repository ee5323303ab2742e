"""A folder of pictures at any depth, without labels."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.data.sources._files import PictureFiles, holds_pictures, picture_paths
from chiasm.data.sources._splits import split_folders

PRECEDENCE = 40


def recognises(path: Path) -> bool:
    """Whether there is a picture anywhere below the folder."""
    return path.is_dir() and holds_pictures(path)


def splits(where: str) -> dict[str, str]:
    """Subfolders that are called like splits."""
    return {name: str(path) for name, path in split_folders(Path(where)).items()}


def folder(where: str, name: str) -> Source:
    """Open all pictures below a folder, sorted by their path.

    Keys are posix paths relative to the folder. Hidden files and folders are left out, and so is what is no picture by
    its suffix (text, tables, JSON); a file without a suffix counts if it begins like a picture.

    Raises:
        InputError: there is no picture.
    """
    root = Path(where)
    keys = sorted(picture_paths(root)) if root.is_dir() else []
    if not keys:
        raise InputError("a folder that holds pictures", f"{where} holds none", "check the path")
    return PictureFiles(name, keys, root.joinpath)
