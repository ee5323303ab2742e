"""What a person names: files that must be there, kinds of file that can be written, sources with enough in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chiasm.core.errors import InputError, nearest
from chiasm.core.example import Source


def missing(path: Path, what: str, candidates: Iterable[Path], otherwise: str) -> InputError:
    """The error for a path that leads nowhere, offering the nearest name beside it.

    Args:
        path: as given.
        what: what should have been there ("an index").
        candidates: paths in the same folder that would have done.
        otherwise: what to do when none is close in spelling.
    """
    near = nearest(path.name, sorted(candidate.name for candidate in candidates))
    do = f"did you mean {str(path.with_name(near))!r}" if near else otherwise
    return InputError(f"{what} at {path}", "nothing is there", do)


def beside(path: Path) -> list[Path]:
    """Everything in the folder that `path` would be in; nothing when there is no such folder."""
    parent = path.parent
    return sorted(parent.iterdir()) if parent.is_dir() else []


def check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a file name that does not say in which of the possible ways to write it.

    Raises:
        InputError: the suffix is none of `suffixes`, or the path is a folder.
    """
    names = " or ".join(suffixes)
    if path.suffix not in suffixes:
        came = f"{path.suffix!r} came" if path.suffix else "there is none"
        raise InputError(f"a file name ending in {names}", f"{came} ({path})", f"name the file with {names}")
    if path.is_dir():
        raise InputError(f"a file at {path}", "it is a folder", "choose another name")


def check_several(count: int, data: Source) -> None:
    """Refuse a source of which there are not at least two pictures to compare.

    Raises:
        InputError: `count` is below 2.
    """
    if count < 2:
        raise InputError("at least two pictures to compare", f"{data.name} has {count}", "add pictures")
