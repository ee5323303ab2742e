"""The vector index on disk: one LanceDB table with a row for each content, and its origin in the table's metadata.

A row holds the digest of a content, the keys of all pictures that have it, and its vector. So a picture that moves or
is copied changes a list of keys and no vector.

Every change is one LanceDB commit: whoever reads sees the table before or after it, and an interrupted change leaves no
trace. Search compares with every row, exactly: a million vectors of 512 numbers take about a second on two processors
once they are in memory, and an approximate index may be put on the table with LanceDB's own means when that is too
long.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError, MissingExtraError
from chiasm.core.predictors import Encoder

_TABLE = "pictures"
# Digests named in one deletion; the statement that names them stays short enough to parse.
_DELETED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Origin:
    """What the vectors of an index were made from.

    Attributes:
        model: name of the model.
        fingerprint: of the model.
        source: name of the source.
    """

    model: str
    fingerprint: str
    source: str


class VectorTable:
    """An open index. Use `open_table` or `create_table`.

    Every method raises InputError when the files of the index are damaged, or cannot be read or written.
    """

    def __init__(self, table: Any, schema: Any, folder: Path) -> None:
        self._table = table
        # LanceDB asks its own thread for the schema whenever it is read.
        self._schema = schema
        self._folder = folder

    @property
    def origin(self) -> Origin:
        """What the vectors were made from."""
        metadata = self._schema.metadata
        return Origin(**{name: metadata[name.encode()].decode() for name in Origin.__dataclass_fields__})

    def __len__(self) -> int:
        """How many contents there are."""
        with _explained(self._folder):
            return int(self._table.count_rows())

    def contents(self) -> dict[str, tuple[str, ...]]:
        """Keys of the pictures with each content, by its digest."""
        with _explained(self._folder):
            rows = self._table.search().select(["digest", "keys"]).to_arrow()
        return dict(zip(rows["digest"].to_pylist(), map(tuple, rows["keys"].to_pylist()), strict=True))

    def put(self, digests: Sequence[str], keys: Sequence[Sequence[str]], vectors: Float[np.ndarray, "B D"]) -> None:
        """Add contents, or replace those whose digest is there already, in one commit."""
        import pyarrow

        flat = pyarrow.array(vectors.astype(np.float32, copy=False).ravel())
        columns = [*_names(digests, keys), pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])]
        rows = pyarrow.table(columns, schema=self._schema)
        with _explained(self._folder):
            self._table.merge_insert("digest").when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def place(self, digests: Sequence[str], keys: Sequence[Sequence[str]]) -> None:
        """Say anew which pictures have some of the contents, in one commit; vectors stay."""
        import pyarrow

        if not digests:
            return
        rows = pyarrow.table(_names(digests, keys), names=["digest", "keys"])
        with _explained(self._folder):
            self._table.merge_insert("digest").when_matched_update_all().execute(rows)

    def remove(self, digests: Sequence[str]) -> None:
        """Remove contents by digest."""
        for start in range(0, len(digests), _DELETED_AT_ONCE):
            some = digests[start : start + _DELETED_AT_ONCE]
            quoted = ", ".join("'" + digest.replace("'", "''") + "'" for digest in some)
            with _explained(self._folder):
                self._table.delete(f"digest IN ({quoted})")

    def compact(self) -> None:
        """Merge the small files that many commits leave."""
        with _explained(self._folder):
            self._table.optimize()

    def nearest(self, vector: Float[np.ndarray, " D"], limit: int) -> list[tuple[tuple[str, ...], float]]:
        """Keys and cosines of the closest contents, the closest first."""
        query = self._table.search(vector.astype(np.float32)).distance_type("cosine").limit(limit)
        with _explained(self._folder):
            rows: list[Mapping[str, Any]] = query.select(["keys", "_distance"]).to_list()
        return [(tuple(row["keys"]), 1.0 - row["_distance"]) for row in rows]


def is_index(folder: Path) -> bool:
    """Whether there is a complete table in a folder; nothing heavy is imported.

    The manifest is what LanceDB writes last, so an interrupted start leaves none.
    """
    return any((folder / f"{_TABLE}.lance" / "_versions").glob("*.manifest"))


def open_table(folder: Path) -> VectorTable | None:
    """The index in a folder, or None where there is none yet.

    Raises:
        InputError: there is a LanceDB table of another make or of an earlier version, or the files are damaged.
    """
    if not is_index(folder):
        return None
    database = _connect(folder)
    with _explained(folder):
        table = database.open_table(_TABLE)
        schema = table.schema
    if "key" in schema.names:
        raise InputError(
            f"an index at {folder} that is sorted by content",
            "it was made by an earlier version of chiasm",
            "remove the folder and index again",
        )
    if not set(Origin.__dataclass_fields__) <= {name.decode() for name in schema.metadata or {}}:
        raise InputError(f"an index at {folder}", "its table was not made by `index`", "choose another folder")
    return VectorTable(table, schema, folder)


def create_table(folder: Path, origin: Origin, embed_dim: int) -> VectorTable:
    """Start an index in a folder that is missing, empty, or holds what an interrupted start left behind.

    Raises:
        InputError: the folder holds other things, is a file, or cannot be written.
    """
    import pyarrow

    _check_free(folder)
    fields: list[Any] = [
        pyarrow.field("digest", pyarrow.string(), nullable=False),
        pyarrow.field("keys", pyarrow.list_(pyarrow.string()), nullable=False),
        pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), embed_dim), nullable=False),
    ]
    schema = pyarrow.schema(fields, metadata=asdict(origin))
    database = _connect(folder)
    with _explained(folder):
        return VectorTable(database.create_table(_TABLE, schema=schema), schema, folder)


def check_model(table: VectorTable, model: Encoder, folder: Path) -> None:
    """Refuse to mix vectors of two models.

    Raises:
        InputError: the index was made with another model, or with other weights of the same one.
    """
    origin = table.origin
    if origin.fingerprint == model.fingerprint:
        return
    same_name = origin.model == model.name
    came = "its weights or preprocessing have changed since" if same_name else f"{model.name} came"
    do = "index again into another folder" if same_name else f"use {origin.model} or index into another folder"
    raise InputError(f"the model {origin.model} that the index {folder} was made with", came, do)


def _names(digests: Sequence[str], keys: Sequence[Sequence[str]]) -> list[Any]:
    """The columns of the table that are no vectors."""
    import pyarrow

    return [pyarrow.array(digests, pyarrow.string()), pyarrow.array(map(list, keys), pyarrow.list_(pyarrow.string()))]


def _check_free(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name != f"{_TABLE}.lance"]
    except OSError as error:
        raise InputError(
            f"a folder for the index at {folder}", f"it cannot be made ({error.strerror})", "choose another place"
        ) from None
    if others:
        raise InputError(f"an index or an empty folder at {folder}", f"it holds {others[0]!r}", "choose a new folder")


def _connect(folder: Path) -> Any:
    try:
        lancedb = importlib.import_module("lancedb")
    except ModuleNotFoundError as error:
        if error.name != "lancedb":
            raise
        raise MissingExtraError("lancedb", "search") from None
    return lancedb.connect(folder)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """LanceDB reports trouble with its files as RuntimeError or OSError, with a trail of source locations."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = str(error).split(", /")[0]
        raise InputError(
            f"an index at {folder} that can be read and written",
            f"LanceDB cannot ({reason})",
            "free space or mend permissions if that is why, otherwise remove the folder and index again",
        ) from error
