"""Data sets of the `datasets` library, as its `save_to_disk` leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.core.errors import BrokenPictureError, InputError, MissingExtraError
from chiasm.core.example import Source
from chiasm.core.files import read_json
from chiasm.data.decode import read_file
from chiasm.data.sources._columns import LABEL_NAMES, captions_among, questions_among, text_columns
from chiasm.data.sources._labels import index_labels
from chiasm.data.sources._splits import first_of
from chiasm.data.sources._stored import Content, StoredPictures

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
    one called like a label; captions, questions and answers come from columns called so. Keys are row numbers.

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
    if class_columns:
        column = first_of(LABEL_NAMES, class_columns) or class_columns[0]
        classes = tuple(features[column].names)
        # The library writes -1 for "unknown".
        labels = [None if value is None or value < 0 else int(value) for value in rows[column]]
    else:
        classes, labels = _plain_labels(rows, where)
    return SavedRows(name, rows, pictures[0], classes, labels)


class SavedRows(StoredPictures):
    """A source over the rows of a data set; `huggingface` makes it."""

    def __init__(
        self,
        name: str,
        rows: Dataset,
        picture_column: str,
        classes: tuple[str, ...],
        labels: Sequence[int | None],
    ) -> None:
        # Sorting keys as text keeps the order of the rows.
        super().__init__(name, [f"{row:08d}" for row in range(len(rows))], classes, labels)
        self._rows = rows.select_columns([picture_column, *text_columns(rows.features)])
        self._picture_column = picture_column

    def _content(self, index: int) -> Content:
        row = self._rows[index]
        picture = row[self._picture_column] or {}
        texts = captions_among(row), questions_among(row)
        if picture.get("bytes") is not None:
            return Content(picture["bytes"], *texts)
        if picture.get("path"):
            return Content(read_file(Path(picture["path"]), self.key(index)), *texts)
        raise BrokenPictureError(self.key(index), "the row has no picture")


def _plain_labels(rows: Dataset, where: str) -> tuple[tuple[str, ...], list[int | None]]:
    column = first_of(LABEL_NAMES, rows.features)
    if column is None:
        return (), []
    values = [value if value is None else str(value) for value in rows[column]]
    return index_labels(values, where)
