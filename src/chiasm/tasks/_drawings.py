"""Pictures that a task draws: one file for one picture, a new folder for many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.files import atomic_folder, atomic_path, check_new_folder
from chiasm.tasks._places import check_suffix

SUFFIX = ".png"
# Endings that name a file; everything else names a folder, which may have a dot in its name.
_ENDINGS = {SUFFIX, ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}

Draw = Callable[[str], UInt8[np.ndarray, "H W 3"]]


def check_place(out: Path, data: Source) -> None:
    """Refuse a place that does not fit what would be written.

    Raises:
        InputError: a file came for many pictures, its name ends otherwise than in .png, or the folder is not new.
    """
    if not _is_file(out):
        check_new_folder(out)
        return
    check_suffix(out, (SUFFIX,))
    if len(data) != 1:
        raise InputError(f"a new folder for {len(data)} pictures", f"the file {out} came", "leave out its ending")


def write_drawings(out: Path, keys: Sequence[str], draw: Draw) -> dict[str, Path]:
    """Draw and write, all or nothing.

    Args:
        out: as `check_place` lets pass.
        keys: of the pictures; one where `out` is a file.
        draw: the drawing, RGB 0 to 255, for a key.

    Returns:
        Where the drawing of each key lies.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    if _is_file(out):
        (key,) = keys
        with atomic_path(out) as part:
            _save(draw(key), part)
        return {key: out}
    names = _names(keys)
    with atomic_folder(out) as part:
        for key, name in names.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            _save(draw(key), part / name)
    return {key: out / name for key, name in names.items()}


def _save(pixels: UInt8[np.ndarray, "H W 3"], path: Path) -> None:
    Image.fromarray(pixels).save(path, "PNG")


def _names(keys: Sequence[str]) -> dict[str, str]:
    """A file for each key, in the folders that keys have, no two alike."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key in keys:
        name = "/".join(part for part in PurePosixPath(key).parts if part not in ("/", ".."))
        while not name.endswith(SUFFIX) or name in taken:
            name += SUFFIX
        names[key] = name
        taken.add(name)
    return names


def _is_file(out: Path) -> bool:
    return out.suffix.lower() in _ENDINGS and not out.is_dir()
