"""WebDataset shards: tar files in which the files of one sample follow each other and share a name up to the first dot.

Shards are opened from a folder, as one file, or by a brace pattern (`train-{0000..0004}.tar`). The headers of all
shards are scanned once when the source is opened; afterwards any sample is read straight from its place in the shard.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source
from chiasm.data.sources._columns import LABEL_NAMES, captions_among, questions_among
from chiasm.data.sources._files import PICTURE_SUFFIXES, entries, is_hidden
from chiasm.data.sources._labels import index_labels
from chiasm.data.sources._splits import TEST_NAMES, TRAIN_NAMES, cut_split, first_of, split_folders, with_split
from chiasm.data.sources._stored import Content, StoredPictures
from chiasm.data.sources._tar import NOWHERE, Place, members

PRECEDENCE = 20

# Files beside the shards that list class names, one a line, for integer `.cls` labels.
CLASS_NAME_FILES = ("classes.txt", "classnames.txt")

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def recognises(path: Path) -> bool:
    """Whether it is a tar file, a brace pattern of tar files, or a folder (maybe of splits) that holds some."""
    if path.suffix == ".tar":
        return path.is_file() or _BRACES.search(path.name) is not None
    return path.is_dir() and bool(_shards_in(path) or any(map(_shards_in, split_folders(path).values())))


def splits(where: str) -> dict[str, str]:
    """Subfolders that are called like splits, or the split names in the shards' own names (`train-0000.tar`)."""
    path = Path(where)
    folders = {name: str(folder) for name, folder in split_folders(path).items() if _shards_in(folder)}
    if folders or not path.is_dir():
        return folders
    return {name: with_split(path, name) for name in _shards_by_split(_shards_in(path))}


def webdataset(where: str, name: str) -> Source:
    """Open shards.

    A sample is every group of files with a picture among them. `.cls` holds its label, `.txt` its captions (one a
    line) and `.json` either of both (`label`, `caption`, `captions` ...) and questions (`question` and `answer`, or
    `questions`, a list of such). Keys are `shard/sample`, in shard order.

    Args:
        where: a folder, a tar file or a brace pattern; `?split=train` picks shards whose names say so.
        name: the text that opens it again.

    Raises:
        InputError: there are no shards, one is missing, compressed or cut off, or none of them holds a picture.
    """
    path, split = cut_split(where)
    shards = _shards(path, split)
    records = [record for number, shard in enumerate(shards) for record in _scan(shard, number)]
    if not records:
        raise InputError(f"pictures in the shards of {where}", f"{len(shards)} shards hold none", "check the path")
    labels = [record.label for record in records]
    has_labels = any(label is not None for label in labels)
    classes, indices = index_labels(labels, where, _class_names(path)) if has_labels else ((), [])
    return Shards(name, shards, records, classes, indices)


@dataclass(frozen=True, slots=True)
class Record:
    """What the scan of the headers found out about one sample."""

    shard: int
    key: str
    picture: Place
    text: Place
    described: Place
    label: str | None


class Shards(StoredPictures):
    """A source over samples in tar files; `webdataset` makes it."""

    def __init__(
        self,
        name: str,
        shards: Iterable[Path],
        records: list[Record],
        classes: tuple[str, ...],
        labels: list[int | None],
    ) -> None:
        super().__init__(name, [record.key for record in records], classes, labels)
        self._shards = tuple(shards)
        # Millions of samples are held as numbers, not as objects.
        self._shard = np.array([record.shard for record in records], np.int32)
        self._places = np.array(
            [[(at.offset, at.size) for at in (record.picture, record.text, record.described)] for record in records],
            np.int64,
        )

    def _content(self, index: int) -> Content:
        key = self.key(index)
        shard = self._shards[self._shard[index]]
        picture, text, described = (Place(int(offset), int(size)) for offset, size in self._places[index])
        try:
            # Opened anew for each sample: any number of shards stays within the limit of open files, and `pread` keeps
            # no position that threads could fight over.
            handle = os.open(shard, os.O_RDONLY)
            try:
                data, caption, description = (place.read(handle) for place in (picture, text, described))
            finally:
                os.close(handle)
        except OSError as error:
            raise BrokenPictureError(key, f"its shard cannot be read: {error.strerror}") from None
        if len(data) < picture.size:
            raise BrokenPictureError(key, "its shard was cut off since it was opened")
        try:
            fields = _parsed(description)
        except ValueError as error:
            raise BrokenPictureError(key, f"its JSON cannot be parsed: {error}") from None
        return Content(data, _lines(caption) or captions_among(fields), questions_among(fields))


def _shards(path: Path, split: str | None) -> list[Path]:
    shards = _existing(_expanded(path)) if path.suffix == ".tar" else _shards_in(path)
    if split is not None:
        shards = _shards_by_split(shards).get(split, [])
    if not shards:
        raise InputError("tar shards", f"{path} holds none" + (f" of split {split}" if split else ""), "check the path")
    return shards


def _existing(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.is_file():
            raise InputError(f"the shard {path}", "no such file exists", "check the numbers in the braces")
        found.append(path)
    return found


def _expanded(path: Path) -> Iterator[Path]:
    """All paths of a brace pattern; the number of digits is kept."""
    match = _BRACES.search(str(path))
    if match is None:
        yield path
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        text = str(path)[: match.start()] + str(number).zfill(len(first)) + str(path)[match.end() :]
        yield from _expanded(Path(text))


def _shards_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(Path(entry.path) for entry in entries(folder) if entry.name.endswith(".tar"))


def _shards_by_split(shards: list[Path]) -> dict[str, list[Path]]:
    """Shards by the split that their names hold; empty unless every name holds one."""
    by_split: dict[str, list[Path]] = {}
    for shard in shards:
        words = re.split(r"[^a-z]+", shard.stem.lower())
        split = next((word for word in words if word in (*TRAIN_NAMES, *TEST_NAMES)), None)
        if split is None:
            return {}
        by_split.setdefault(split, []).append(shard)
    return by_split


def _class_names(path: Path) -> tuple[str, ...]:
    folder = path if path.is_dir() else path.parent
    for name in CLASS_NAME_FILES:
        for place in (folder / name, folder.parent / name):
            if place.is_file():
                return _lines(place.read_bytes())
    return ()


def _scan(shard: Path, number: int) -> Iterator[Record]:
    """The samples of one shard that have a picture, in order."""
    try:
        with shard.open("rb") as file:
            samples = _grouped(file)
            for key, places in samples.items():
                picture = next((places[suffix] for suffix in places if f".{suffix}" in PICTURE_SUFFIXES), None)
                if picture is not None:
                    text, described = places.get("txt", NOWHERE), places.get("json", NOWHERE)
                    label = _label(file, places, f"{shard}: {key}")
                    yield Record(number, f"{shard.stem}/{key}", picture, text, described, label)
    except tarfile.TarError as error:
        raise InputError(
            f"a whole, uncompressed tar file at {shard}", f"it cannot be read ({error})", "fetch or unpack it again"
        ) from None
    except OSError as error:
        raise InputError(f"a shard that can be read at {shard}", f"it cannot ({error.strerror})", "check it") from None


def _grouped(file: BinaryIO) -> dict[str, dict[str, Place]]:
    """Places of a shard's files by sample and suffix."""
    samples: dict[str, dict[str, Place]] = {}
    for name, place in members(file):
        folder, _, base = name.removeprefix("./").rpartition("/")
        stem, _, suffix = base.partition(".")
        if not is_hidden(base):
            samples.setdefault(f"{folder}/{stem}" if folder else stem, {})[suffix.lower()] = place
    return samples


def _label(file: BinaryIO, places: dict[str, Place], what: str) -> str | None:
    if "cls" in places:
        return places["cls"].read(file.fileno()).decode("utf-8", errors="replace").strip() or None
    try:
        described = _parsed(places.get("json", NOWHERE).read(file.fileno()))
    except ValueError as error:
        raise InputError(f"JSON in {what}.json", f"it cannot be parsed ({error})", "write the shard again") from None
    label = described.get(first_of(LABEL_NAMES, described) or "")
    return str(label) if isinstance(label, str | int) and not isinstance(label, bool) else None


def _parsed(data: bytes) -> dict[str, Any]:
    value = json.loads(data) if data else {}
    return value if isinstance(value, dict) else {}


def _lines(text: bytes) -> tuple[str, ...]:
    """The lines of a text that are not blank."""
    lines = (line.strip() for line in text.decode("utf-8", errors="replace").splitlines())
    return tuple(filter(None, lines))
