"""Search: the pictures of an index that look most like a given one, or that fit a description best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.predictors import Encoder, Record
from chiasm.data.described import reader
from chiasm.tasks._places import beside, missing
from chiasm.tasks._query import embed_picture
from chiasm.tasks._vector_table import VectorTable, check_model, is_index, open_table


class Hit(Record):
    """One picture that was found.

    Attributes:
        rank: 1 for the closest.
        key: identity of the picture within the source.
        score: cosine between its vector and the query's, -1 to 1; those of words are lower than those of pictures.
        copies: other pictures of the source with the very same content.
    """

    rank: int
    key: str
    score: float
    copies: tuple[str, ...] = ()


class Found(Record):
    """What `search` found.

    Attributes:
        query: the picture that was searched for, where it was one.
        text: the words that were searched for, where it was words.
        index: folder of the index.
        source: where the keys of the hits come from.
        num_indexed: contents that were compared; copies count once.
        hits: the closest first.
    """

    query: Path | None
    text: str | None
    index: Path
    source: str
    num_indexed: int
    hits: tuple[Hit, ...]


def search(model: Encoder, index: Path, query: Path | None = None, text: str | None = None, limit: int = 10) -> Found:
    """Find the pictures of an index that look most like a given one, or that fit a description best.

    Every picture of the index is compared, so nothing close is missed.

    Args:
        model: the encoder that the index was made with.
        index: folder that `index` made.
        query: picture file to search for.
        text: words to search for instead, for a model that reads text ("a photo of a dog on a beach").
        limit: how many pictures to return.

    Raises:
        InputError: there is no index or no picture at the paths given, the index was made with another model, query and
            text both came or neither did, the model reads no text, or the limit is below 1.
        BrokenPictureError: the query cannot be decoded.
    """
    if limit < 1:
        raise InputError("a limit of at least 1", f"{limit} came", "ask for one hit or more")
    if (query is None) == (text is None):
        came = "neither came" if query is None else "both came"
        raise InputError("a query (a picture) or a text to search for", came, "give one of them")
    table = _open(index)
    check_model(table, model, index)
    vector = embed_picture(model, query) if query is not None else _embed_words(model, text or "")
    num_indexed = len(table)
    rows = table.nearest(vector, max(min(limit, num_indexed), 1))
    return Found(
        query=query,
        text=text,
        index=index,
        source=table.origin.source,
        num_indexed=num_indexed,
        hits=tuple(
            Hit(rank=rank, key=keys[0], score=score, copies=keys[1:])
            for rank, (keys, score) in enumerate(rows, start=1)
        ),
    )


def _open(index: Path) -> VectorTable:
    """The index in a folder.

    Raises:
        InputError: there is none, or it cannot be used.
    """
    table = open_table(index)
    if table is not None:
        return table
    if index.exists():
        raise InputError(f"an index at {index}", "it is none", "make one with `index` and name its folder")
    candidates = [path for path in beside(index) if is_index(path)]
    raise missing(index, "an index", candidates, "make one with `index`")


def _embed_words(model: Encoder, text: str) -> Float[np.ndarray, " D"]:
    """The vector of some words.

    Raises:
        InputError: the model reads no text, or there are no words.
    """
    side = reader(model, "search with a picture (query), or take a model that was tied to language")
    if not text.strip():
        raise InputError("words to search for", "an empty text came", "write some")
    return side.embed([text])[0]
