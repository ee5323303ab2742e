"""Which names mean training and which mean testing, and how a source's text names one of its splits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl

from chiasm.core.errors import InputError, UnknownNameError
from chiasm.data.sources._files import pictures_inside, subfolders

# In the order of preference where a source has several.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")


def first_of(wanted: Iterable[str], available: Iterable[str]) -> str | None:
    """The first wanted name that is available, in whatever case and with blanks around it or not."""
    by_lower = {name.strip().lower(): name for name in available}
    return next((by_lower[name] for name in wanted if name in by_lower), None)


def split_folders(folder: Path) -> dict[str, Path]:
    """The splits that a folder holds as subfolders; empty where it is no such folder.

    It is one when a training and a test folder lie side by side, or when a training folder is all there is. A lone
    `train` among other folders is taken for what it may well be: a class of vehicles.
    """
    if not folder.is_dir():
        return {}
    folders = subfolders(folder)
    named = {path.name.lower(): path for path in folders if path.name.lower() in (*TRAIN_NAMES, *TEST_NAMES)}
    train, test = first_of(TRAIN_NAMES, named), first_of(TEST_NAMES, named)
    if train and (test or (len(folders) == 1 and not pictures_inside(folder))):
        return named
    return {}


def cut_split(where: str) -> tuple[Path, str | None]:
    """A text such as `labels.csv?split=train` as path and split.

    Raises:
        UnknownNameError: there is another option than `split`.
        InputError: an option is not of the form name=value.
    """
    if Path(where).exists() or "?" not in where:
        return Path(where), None
    path, query = where.rsplit("?", 1)
    options = dict(options_in(query, where, "split=train"))
    for option in options:
        if option != "split":
            raise UnknownNameError("option of a path", option, ["split"])
    return Path(path), options["split"]


def options_in(query: str, where: str, example: str) -> list[tuple[str, str]]:
    """Names and values in a text such as `size=64&seed=1`.

    Args:
        query: what stands behind the question mark.
        where: the whole text, for the error.
        example: options as they should be, for the error.

    Raises:
        InputError: an option is not of the form name=value.
    """
    if not query:
        return []
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        came = f"{query!r} came in {where}"
        raise InputError("options as name=value", came, f"write for example ?{example}") from None


def with_split(path: Path, split: str) -> str:
    """The text that `cut_split` takes apart."""
    return f"{path}?split={split}"
