"""Data sets of the `datasets` library, as its `save_to_disk` leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.core.errors import BrokenPictureError, InputError, MissingExtraError
from chiasm.core.example import Example, Source
from chiasm.core.files import read_json
from chiasm.data.decode import decode, decode_file
from chiasm.data.sources._labels import index_labels
from chiasm.data.sources.table import CAPTION_COLUMNS, LABEL_COLUMNS

if TYPE_CHECKING:
    from datasets import Dataset

PRECEDENCE = 10

_SPLIT_LIST = "dataset_dict.json"
_STATE_FILES = ("state.json", "dataset_info.json")


def recognises(path: Path) -> bool:
    """Whether the folder holds what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` writes."""
    return (path / _SPLIT_LIST).is_file() or all((path / name).is_file() for name in _STATE_FILES)


def splits(where: str) -> dict[str, str]:
    """The data sets of a saved `DatasetDict`."""
    path = Path(where)
    if not (path / _SPLIT_LIST).is_file():
        return {}
    names = read_json(path / _SPLIT_LIST, "the list of splits").get("splits", [])
    return {name: str(path / name) for name in names}


def huggingface(where: str, name: str) -> Source:
    """Open a saved data set. Its pictures are decoded by `data.decode`, not by the library.

    The picture column is the first of the type `Image`. The label column is the first of the type `ClassLabel`, else
    one called like a label; captions come from a column called like captions. Keys are row numbers.

    Raises:
        MissingExtraError: the `datasets` library is not installed.
        InputError: the folder holds no such data set, or it has no column of pictures or no rows.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("datasets", "train") from None
    try:
        rows = datasets.load_from_disk(where)
    except Exception as error:
        # The library lets through whatever its parts raise: OSError, ValueError, KeyError, Arrow's own.
        raise InputError(
            f"a data set saved with save_to_disk at {where}", f"it cannot be opened ({error})", "save it again"
        ) from error
    if isinstance(rows, datasets.DatasetDict):
        raise InputError(
            "one split of a saved DatasetDict", f"{where} holds {', '.join(map(str, rows))}", "name one of them"
        )
    features = rows.features
    pictures = [column for column, feature in features.items() if isinstance(feature, datasets.Image)]
    if not pictures or not len(rows):
        came = f"it has {len(rows)} rows with the columns {', '.join(features)}"
        raise InputError(f"rows with a column of type Image in {where}", came, "cast the column to datasets.Image")
    rows = rows.cast_column(pictures[0], datasets.Image(decode=False))
    class_columns = [column for column, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    caption_column = _first(CAPTION_COLUMNS, features)
    if class_columns:
        column = _first(LABEL_COLUMNS, class_columns) or class_columns[0]
        classes = tuple(features[column].names)
        # The library writes -1 for "unknown".
        labels = [None if value is None or value < 0 else int(value) for value in rows[column]]
    else:
        classes, labels = _plain_labels(rows, where)
    return SavedRows(name, rows, pictures[0], caption_column, classes, labels)


class SavedRows:
    """A source over the rows of a data set; `huggingface` makes it."""

    def __init__(
        self,
        name: str,
        rows: Dataset,
        picture_column: str,
        caption_column: str | None,
        classes: tuple[str, ...],
        labels: Sequence[int | None],
    ) -> None:
        self._name = name
        self._rows = rows.select_columns([picture_column, *([caption_column] if caption_column else [])])
        self._picture_column = picture_column
        self._caption_column = caption_column
        self._classes = classes
        self._labels = tuple(labels)

    @property
    def name(self) -> str:
        return self._name

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, index: int) -> str:
        # Sorting keys as text keeps the order of the rows.
        return f"{index:08d}"

    def label(self, index: int) -> int | None:
        return self._labels[index] if self._labels else None

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        key = self.key(index)
        row = self._rows[index]
        picture = row[self._picture_column] or {}
        if picture.get("bytes") is not None:
            pixels = decode(picture["bytes"], key, min_side_px)
        elif picture.get("path"):
            pixels = decode_file(Path(picture["path"]), key, min_side_px)
        else:
            raise BrokenPictureError(key, "the row has no picture")
        captions = _captions(row[self._caption_column]) if self._caption_column else ()
        return Example(key=key, picture=pixels, label=self.label(index), captions=captions)


def _plain_labels(rows: Dataset, where: str) -> tuple[tuple[str, ...], list[int | None]]:
    column = _first(LABEL_COLUMNS, rows.features)
    if column is None:
        return (), []
    values = [value if value is None else str(value) for value in rows[column]]
    return index_labels(values, where)


def _first(wanted: Iterable[str], available: Iterable[str]) -> str | None:
    by_lower = {column.lower(): column for column in available}
    return next((by_lower[name] for name in wanted if name in by_lower), None)


def _captions(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(text.strip() for text in values if isinstance(text, str) and text.strip())
