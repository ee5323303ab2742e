"""Embed: one vector per picture, written as a table that any tool reads."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.example import Source
from chiasm.core.predictors import Encoder, Record
from chiasm.tasks._places import check_suffix
from chiasm.tasks._table import EMBEDDING_WRITERS, write_embeddings


class Embedded(Record):
    """What `embed` did.

    Attributes:
        out: the file that was written.
        model: name of the model.
        fingerprint: of the model; vectors of different fingerprints do not mix.
        source: name of the source.
        num_pictures: rows in the file.
        embed_dim: numbers per vector.
        classes: names that the labels point into.
        skipped: pictures that could not be read, and why.
    """

    out: Path
    model: str
    fingerprint: str
    source: str
    num_pictures: int
    embed_dim: int
    classes: tuple[str, ...]
    skipped: dict[str, str]


def embed(model: Encoder, data: Source, out: Path) -> Embedded:
    """Turn pictures into vectors and write them to a file.

    Args:
        model: the encoder.
        data: the pictures.
        out: file to write, .npz (arrays `vectors`, `keys`, `labels`, `classes`, `fingerprint` ...) or .parquet (columns
            `key`, `label`, `class`, `vector`). An existing file is replaced once the new one is complete.

    Raises:
        InputError: the suffix of `out` is neither .npz nor .parquet, or the place cannot be written.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_suffix(out, tuple(EMBEDDING_WRITERS))
    embeddings = model.embed(data)
    write_embeddings(out, embeddings, model, data.name)
    return Embedded(
        out=out,
        model=model.name,
        fingerprint=model.fingerprint,
        source=data.name,
        num_pictures=len(embeddings.keys),
        embed_dim=model.embed_dim,
        classes=embeddings.classes,
        skipped=dict(embeddings.skipped),
    )
