"""A table (CSV, TSV, Parquet) with a column of picture paths and, if it likes, captions, questions, labels and splits.

The columns are found by their names, in any case: paths in `path`, `file`, `filename`, `image` ...; captions in
`caption`, `captions`, `text` ...; questions in `question` with their answers in `answer` or `answers` and, if it likes,
what they are about in `kind`; labels in `label`, `class` ...; splits in `split`. Rows that name the same picture are
merged: their captions and questions are collected in order, which is how caption data sets (Flickr8k, COCO) are usually
written. In CSV and TSV several columns may have one name where it is that of captions or answers.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from chiasm.core.errors import InputError
from chiasm.core.example import QuestionAnswer, Source
from chiasm.core.files import is_there
from chiasm.data.sources._columns import (
    ANSWER_NAMES,
    CAPTION_NAMES,
    KIND_NAMES,
    LABEL_NAMES,
    QUESTION_NAMES,
    captions_in,
    questions_in,
)
from chiasm.data.sources._files import PictureFiles
from chiasm.data.sources._labels import index_labels
from chiasm.data.sources._splits import cut_split, first_of, with_split

PRECEDENCE = 10

PATH_COLUMNS = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
    "picture",
)
SPLIT_COLUMNS = ("split", "subset", "partition")
_TOLD = (CAPTION_NAMES, LABEL_NAMES, SPLIT_COLUMNS, QUESTION_NAMES, ANSWER_NAMES, KIND_NAMES)
_KNOWN = frozenset(name for names in (PATH_COLUMNS, *_TOLD) for name in names)
_ONCE = _KNOWN - {*CAPTION_NAMES, *ANSWER_NAMES}

Columns = dict[str, list[Any]]


def recognises(path: Path) -> bool:
    """Whether it is a file with a table's suffix."""
    return path.suffix.lower() in _READERS and path.is_file()


def splits(where: str) -> dict[str, str]:
    """The distinct values of the split column."""
    path = Path(where)
    columns = _read(path)
    column = first_of(SPLIT_COLUMNS, columns)
    if column is None or first_of(PATH_COLUMNS, columns) is None:
        return {}
    names = sorted({_text(value) for value in columns[column] if _text(value)})
    return {name: with_split(path, name) for name in names}


def table(where: str, name: str) -> Source:
    """Open the pictures that a table names, in the order in which it names them first.

    Paths are relative to the table's folder or to a folder `images` beside the table, or absolute. Keys are the paths
    as the table gives them. A path that leads nowhere is a broken picture, not an error of the table.

    Args:
        where: path of the table; `?split=train` picks the rows with this value in the split column.
        name: the text that opens it again.

    Raises:
        InputError: the file is no such table, has no column of paths, a row without a path, or gives one picture two
            labels.
    """
    path, split = cut_split(where)
    columns = _read(path)
    rows = _rows(path, columns, split)
    labels: list[str | None] = [row.label for row in rows.values()]
    classes, indices = index_labels(labels, str(path)) if any(label is not None for label in labels) else ((), [])
    captions = [tuple(row.captions) for row in rows.values()]
    questions = [tuple(row.questions) for row in rows.values()]
    return PictureFiles(name, list(rows), _locator(path.parent), classes, indices, captions, questions)


@dataclass(slots=True)
class _Row:
    """What the rows of one picture say together."""

    label: str | None = None
    captions: list[str] = field(default_factory=list)
    questions: list[QuestionAnswer] = field(default_factory=list)


def _rows(path: Path, columns: Columns, split: str | None) -> dict[str, _Row]:
    path_column = first_of(PATH_COLUMNS, columns)
    if path_column is None:
        raise InputError(
            f"a column of picture paths in {path} ({', '.join(PATH_COLUMNS)})",
            f"its columns are {', '.join(columns) or 'none'}",
            "rename the column that holds the paths",
        )
    keys = columns[path_column]
    nothing = [None] * len(keys)
    found = [first_of(names, columns) for names in _TOLD]
    told = [nothing if name is None else columns[name] for name in found]
    rows: dict[str, _Row] = {}
    for number, (key, caption, label, part, *asked) in enumerate(zip(keys, *told, strict=True), start=1):
        if split is not None and _text(part) != split:
            continue
        if not isinstance(key, str) or not key.strip():
            raise InputError(
                f"a picture's path in every row of {path}",
                f"row {number} has {'none' if key is None or key == '' else type(key).__name__} as {path_column}",
                "write paths there, or save pictures with the datasets library",
            )
        row = rows.setdefault(str(PurePosixPath(key.strip())), _Row())
        row.captions.extend(captions_in(caption))
        row.questions.extend(questions_in(*asked))
        row.label = _agreed(path, key, row.label, _text(label) or None)
    if not rows:
        raise InputError(
            f"rows in {path}" + (f" of split {split}" if split else ""), "there are none", "check the table"
        )
    return rows


def _agreed(path: Path, key: str, before: str | None, now: str | None) -> str | None:
    if before is not None and now is not None and before != now:
        raise InputError(
            f"one label for each picture in {path}", f"{key} has {before!r} and {now!r}", "correct the table"
        )
    return now if before is None else before


def _plain(name: str) -> str:
    """A column's name without what makes no difference."""
    return name.strip().lower()


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _locator(folder: Path) -> Callable[[str], Path]:
    def locate(key: str) -> Path:
        beside, inside = folder / key, folder / "images" / key
        return inside if is_there(inside) and not is_there(beside) else beside

    return locate


def _read(path: Path) -> Columns:
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise InputError(f"a table ({', '.join(_READERS)})", f"{path} is none", "check the path")
    return reader(path)


def _read_csv(path: Path) -> Columns:
    return _read_delimited(path, ",")


def _read_tsv(path: Path) -> Columns:
    return _read_delimited(path, "\t")


def _read_delimited(path: Path, delimiter: str) -> Columns:
    try:
        # Spreadsheets put a byte order mark first.
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file, delimiter=delimiter, strict=True)) or [[]]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"a table in UTF-8 at {path}", f"it cannot be read ({error})", "repair or convert it"
        ) from None
    for number, row in enumerate(rows, start=1):
        if row and len(row) != len(header):
            raise InputError(
                f"{len(header)} values in every row of {path}", f"row {number} has {len(row)}", "correct the row"
            )
    places: dict[str, list[int]] = {}
    for place, name in enumerate(header):
        places.setdefault(_plain(name), []).append(place)
    for name, several in places.items():
        if name in _ONCE and len(several) > 1:
            raise InputError(f"one column {name} in {path}", f"there are {len(several)}", "rename or remove the others")
    return {header[several[0]]: [_values(row, several) for row in rows if row] for several in places.values()}


def _values(row: list[str], places: list[int]) -> str | list[str]:
    """What a row has in a column, or in all columns of one name."""
    return row[places[0]] if len(places) == 1 else [row[place] for place in places]


def _read_parquet(path: Path) -> Columns:
    import pyarrow
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(path).names
        content = pyarrow.parquet.read_table(path, columns=[name for name in names if _plain(name) in _KNOWN])
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"a Parquet table at {path}", f"it cannot be read ({error})", "write it again") from None
    # Columns of no interest are named, for the message that lists them, but not read.
    return dict.fromkeys(names, []) | content.to_pydict()


_READERS: dict[str, Callable[[Path], Columns]] = {".csv": _read_csv, ".tsv": _read_tsv, ".parquet": _read_parquet}
