"""Similar: the nearest pictures of a source, for one picture or for each of them, without an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Encoder, Record
from chiasm.ops.neighbours import nearest_others
from chiasm.tasks._places import check_several, check_suffix
from chiasm.tasks._query import embed_picture
from chiasm.tasks._table import ROW_WRITERS, write_rows


class Neighbour(Record):
    """A picture that looks like another.

    Attributes:
        key: the picture that was asked about: its identity within the source, or the path of the query.
        rank: 1 for the closest.
        neighbour: the picture that looks like it.
        score: cosine between their vectors, -1 to 1.
    """

    key: str
    rank: int
    neighbour: str
    score: float


class Similar(Record):
    """What `similar` found.

    Attributes:
        model: name of the model.
        data: name of the source.
        query: the picture that was asked about; None when all were.
        num_pictures: pictures that were compared.
        neighbours: the closest first, picture by picture; none when they were written to `out`.
        out: the table that they were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    query: Path | None
    num_pictures: int
    neighbours: tuple[Neighbour, ...]
    out: Path | None
    skipped: dict[str, str]


def similar(
    model: Encoder, data: Source, query: Path | None = None, limit: int = 10, out: Path | None = None
) -> Similar:
    """Find the pictures of a source that look most like a given one, or like each of its own.

    Every picture is compared with every other one. `index` and `search` do the same for pictures that are asked about
    again and again.

    Args:
        model: the encoder.
        data: the pictures to look among.
        query: picture file to ask about; without it each picture of `data` is. One that is itself among them is not
            found as its own neighbour.
        limit: how many neighbours of a picture to tell.
        out: write the neighbours to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: there is no picture at the path given, there are fewer than two pictures to compare, or an option is
            out of range.
        BrokenPictureError: the query cannot be decoded.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if limit < 1:
        raise InputError("a limit of at least 1", f"{limit} came", "ask for one neighbour or more")
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    if query is None:
        embeddings = model.embed(data)
        check_several(len(embeddings.keys), data)
        asked, (cosines, rows) = embeddings.keys, nearest_others(embeddings.vectors, limit)
    else:
        vector = embed_picture(model, query)
        embeddings = model.embed(data)
        others = _others(query, data, embeddings.keys)
        asked, (cosines, rows) = (str(query),), _nearest(vector, embeddings.vectors, others, limit)
    columns = _columns(asked, embeddings.keys, cosines, rows)
    if out is not None:
        write_rows(out, columns)
    return Similar(
        model=model.name,
        data=data.name,
        query=query,
        num_pictures=len(embeddings.keys),
        neighbours=() if out else tuple(_records(columns)),
        out=out,
        skipped=dict(embeddings.skipped),
    )


def _others(query: Path, data: Source, keys: Sequence[str]) -> Int[np.ndarray, " _"]:
    """Rows of the pictures that are not the very file that is asked about."""
    folder, path = Path(data.name), query.resolve()
    return np.array([row for row, key in enumerate(keys) if (folder / key).resolve() != path], int)


def _nearest(
    vector: Float[np.ndarray, " D"], vectors: Float[np.ndarray, "B D"], others: Int[np.ndarray, " _"], limit: int
) -> tuple[Float[np.ndarray, "1 _"], Int[np.ndarray, "1 _"]]:
    """Cosines and rows of the nearest of some rows, as one line of a table."""
    cosines = vectors[others] @ vector
    order = np.argsort(-cosines, kind="stable")[:limit]
    return cosines[None, order], others[None, order]


def _columns(
    asked: Sequence[str], keys: Sequence[str], cosines: Float[np.ndarray, "B _"], rows: Int[np.ndarray, "B _"]
) -> dict[str, list[Any]]:
    """A line for each pair; as columns, since all pairs of a large source would be slow as records."""
    count, width = rows.shape
    return {
        "key": [key for key in asked for _ in range(width)],
        "rank": list(range(1, width + 1)) * count,
        "neighbour": [keys[row] for row in rows.ravel().tolist()],
        "score": cosines.ravel().tolist(),
    }


def _records(columns: dict[str, list[Any]]) -> Iterator[Neighbour]:
    for values in zip(*columns.values(), strict=True):
        yield Neighbour(**dict(zip(columns, values, strict=True)))
