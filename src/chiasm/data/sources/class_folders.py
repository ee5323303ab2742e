"""One folder per class, pictures at any depth below it."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.data.sources._files import PictureFiles, picture_paths, pictures_inside, subfolders
from chiasm.data.sources._splits import split_folders

PRECEDENCE = 30

# Side by side with anything else these hold the parts of one data set, not the pictures of a class.
_PARTS = frozenset({"images", "imgs", "img", "pictures", "photos", "masks", "annotations", "labels", "ground_truth"})


def recognises(path: Path) -> bool:
    """Whether at least two subfolders hold pictures, and nothing speaks against these being classes.

    Against it speak pictures beside the subfolders and subfolders named like parts of a data set (`images`, `masks`).
    A folder of splits counts when one of its splits does.
    """
    if not path.is_dir():
        return False
    parts = split_folders(path)
    return any(map(_has_classes, parts.values())) if parts else _has_classes(path)


def splits(where: str) -> dict[str, str]:
    """Subfolders that are called like splits."""
    return {name: str(path) for name, path in split_folders(Path(where)).items()}


def class_folders(where: str, name: str) -> Source:
    """Open the pictures below a folder's subfolders; the name of the subfolder is the class.

    Classes and pictures are sorted; a subfolder without pictures is no class. Keys are posix paths relative to the
    folder, so they begin with the class.

    Raises:
        InputError: no subfolder holds a picture.
    """
    root = Path(where)
    folders = subfolders(root) if root.is_dir() else []
    keys = [f"{folder.name}/{path}" for folder in folders for path in sorted(picture_paths(folder))]
    if not keys:
        raise InputError("a folder with one folder of pictures per class", f"{where} is none", "check the path")
    classes = list(dict.fromkeys(key.split("/", 1)[0] for key in keys))
    place = {name: index for index, name in enumerate(classes)}
    return PictureFiles(name, keys, root.joinpath, classes, [place[key.split("/", 1)[0]] for key in keys])


def _has_classes(path: Path) -> bool:
    folders = subfolders(path)
    if any(folder.name.lower() in _PARTS for folder in folders) or pictures_inside(path):
        return False
    return sum(map(pictures_inside, folders)) >= 2
