"""Vectors and predictions as files that other tools read: .npz, .parquet, .csv.

A Parquet or CSV file has one row per picture; what holds for all rows (model, fingerprint, class names ...) is in the
Parquet file's metadata as JSON under the key `chiasm`, or an array of its own in the .npz file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.core.files import atomic_path
from chiasm.core.predictors import Embeddings, Encoder


def write_embeddings(path: Path, embeddings: Embeddings, model: Encoder, source_name: str) -> None:
    """Write vectors with everything needed to use them elsewhere, by the suffix of `path`, which is a known one."""
    with atomic_path(path) as part:
        EMBEDDING_WRITERS[path.suffix](part, embeddings, model, source_name)


def write_rows(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write plain columns of equal length, by the suffix of `path`, which is a known one."""
    import pyarrow

    table = pyarrow.table({name: list(values) for name, values in columns.items()})
    with atomic_path(path) as part:
        ROW_WRITERS[path.suffix](part, table)


def _write_npz(part: Path, embeddings: Embeddings, model: Encoder, source_name: str) -> None:
    arrays = {
        "vectors": embeddings.vectors,
        "keys": np.array(embeddings.keys, dtype=np.str_),
        "labels": embeddings.labels,
        "classes": np.array(embeddings.classes, dtype=np.str_),
        "skipped": np.array(embeddings.skipped, dtype=np.str_).reshape(-1, 2),
        "model": np.array(model.name),
        "fingerprint": np.array(model.fingerprint),
        "source": np.array(source_name),
    }
    # An open file, because numpy appends .npz to a path that ends otherwise.
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _write_embedding_rows(part: Path, embeddings: Embeddings, model: Encoder, source_name: str) -> None:
    import pyarrow
    from pyarrow import parquet

    width = embeddings.vectors.shape[1]
    flat = pyarrow.array(embeddings.vectors.astype(np.float32, copy=False).ravel())
    labels = embeddings.labels
    classes = [embeddings.classes[label] if label >= 0 else None for label in labels]
    table = pyarrow.table(
        {
            "key": pyarrow.array(embeddings.keys, pyarrow.string()),
            "label": pyarrow.array(labels, pyarrow.int64()),
            "class": pyarrow.array(classes, pyarrow.string()),
            "vector": pyarrow.FixedSizeListArray.from_arrays(flat, width),
        }
    )
    shared = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "source": source_name,
        "classes": embeddings.classes,
        "skipped": embeddings.skipped,
    }
    parquet.write_table(table.replace_schema_metadata({"chiasm": json.dumps(shared)}), part)


def _write_parquet(part: Path, table: Any) -> None:
    from pyarrow import parquet

    parquet.write_table(table, part)


def _write_csv(part: Path, table: Any) -> None:
    from pyarrow import csv

    csv.write_csv(table, part)


EMBEDDING_WRITERS: dict[str, Callable[[Path, Embeddings, Encoder, str], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_embedding_rows,
}
ROW_WRITERS: dict[str, Callable[[Path, Any], None]] = {".csv": _write_csv, ".parquet": _write_parquet}
