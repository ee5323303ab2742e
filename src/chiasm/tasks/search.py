"""Search: the pictures of an index that look most like a given one."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.predictors import Encoder, Record
from chiasm.data.open import open_picture
from chiasm.tasks._places import beside, missing
from chiasm.tasks._vector_table import check_model, is_index, open_table

# Shorter side at which the query is tried before the model sees it, so that a broken one is told as such.
_GLANCE_SIDE_PX = 32


class Hit(Record):
    """One picture that was found.

    Attributes:
        rank: 1 for the closest.
        key: identity of the picture within the source.
        score: cosine between its vector and the query's, -1 to 1.
    """

    rank: int
    key: str
    score: float


class Found(Record):
    """What `search` found.

    Attributes:
        query: the picture that was searched for.
        index: folder of the index.
        source: where the keys of the hits come from.
        num_indexed: pictures that were compared.
        hits: the closest first.
    """

    query: Path
    index: Path
    source: str
    num_indexed: int
    hits: tuple[Hit, ...]


def search(model: Encoder, index: Path, query: Path, limit: int = 10) -> Found:
    """Find the pictures of an index that look most like a given one.

    Every picture of the index is compared, so nothing close is missed.

    Args:
        model: the encoder that the index was made with.
        index: folder that `index` made.
        query: picture file to search for.
        limit: how many pictures to return.

    Raises:
        InputError: there is no index or no picture at the paths given, the index was made with another model, or the
            limit is below 1.
        BrokenPictureError: the query cannot be decoded.
    """
    if limit < 1:
        raise InputError("a limit of at least 1", f"{limit} came", "ask for one hit or more")
    table = open_table(index)
    if table is None:
        candidates = [path for path in beside(index) if is_index(path)]
        if index.exists():
            raise InputError(f"an index at {index}", "it is none", "make one with `index` and name its folder")
        raise missing(index, "an index", candidates, "make one with `index`")
    check_model(table, model, index)
    if not query.exists():
        raise missing(query, "a picture", [path for path in beside(query) if path.is_file()], "check the path")
    picture = open_picture(query)
    picture.read(0, _GLANCE_SIDE_PX)
    embeddings = model.embed(picture)
    if not embeddings.keys:
        raise BrokenPictureError(*embeddings.skipped[0])
    num_indexed = len(table)
    rows = table.nearest(embeddings.vectors[0], max(min(limit, num_indexed), 1))
    return Found(
        query=query,
        index=index,
        source=table.origin.source,
        num_indexed=num_indexed,
        hits=tuple(Hit(rank=rank, key=key, score=score) for rank, (key, score) in enumerate(rows, start=1)),
    )
