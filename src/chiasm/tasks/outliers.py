"""Outliers: the pictures least like the rest, and those that look like another class than their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings, Encoder, Record
from chiasm.ops.neighbours import nearest_others, neighbours_class, odd_scores, robust_z
from chiasm.tasks._places import check_several, check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows

ODD_Z = 3.5
"""Above this a z-value from medians is commonly called odd (Iglewicz and Hoaglin, 1993)."""


class Outlier(Record):
    """One picture and how odd it is.

    Attributes:
        key: identity of the picture within the source.
        score: mean of 1 - cosine to its nearest neighbours, 0 to 2.
        z: how far its score is above the median one, in standard deviations told from medians; above 3.5 is odd, and
            the first of a list may well be below: something always comes first.
        nearest: the picture that is most like it.
        label: its class, where it has one.
    """

    key: str
    score: float
    z: float
    nearest: str
    label: str | None


class Suspect(Record):
    """A picture whose neighbours mostly have another class: perhaps its label is wrong.

    Attributes:
        key: identity of the picture within the source.
        label: its class.
        looks_like: the most frequent class of its nearest neighbours.
        share: of those neighbours that have a class, how many have that one.
    """

    key: str
    label: str
    looks_like: str
    share: float


class Outliers(Record):
    """What `outliers` found.

    Attributes:
        model: name of the model.
        data: name of the source.
        num_pictures: pictures that were compared.
        neighbours: how many neighbours each picture was compared with.
        num_odd: pictures with a z-value above 3.5.
        num_suspects: pictures whose neighbours mostly have another class.
        outliers: the oddest first, `limit` of them; none when all pictures were written to `out`.
        suspects: the surest first, `limit` of them; none when all pictures were written to `out`.
        out: the table that all pictures were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    num_pictures: int
    neighbours: int
    num_odd: int
    num_suspects: int
    outliers: tuple[Outlier, ...]
    suspects: tuple[Suspect, ...]
    out: Path | None
    skipped: dict[str, str]


def outliers(model: Encoder, data: Source, neighbours: int = 10, limit: int = 20, out: Path | None = None) -> Outliers:
    """Find the pictures that are least like the rest, and, where there are classes, labels that may be wrong.

    A picture is odd when its nearest neighbours are far. Copies of a picture are its nearest neighbours: an odd picture
    that is there often hides behind them, so look for `duplicates` first.

    Args:
        model: the encoder.
        data: the pictures; with classes, those that look like another class than their own are told too.
        neighbours: how many neighbours to compare each picture with.
        limit: how many pictures to tell.
        out: write every picture with its score to this .csv or .parquet file instead, the oddest first.

    Raises:
        InputError: there are fewer than two pictures to compare, or an option is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    for what, number in (("neighbour", neighbours), ("picture to tell", limit)):
        if number < 1:
            raise InputError(f"at least one {what}", f"{number} came", "ask for one or more")
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    found = model.embed(data)
    check_several(len(found.keys), data)
    cosines, rows = nearest_others(found.vectors, neighbours)
    scores = odd_scores(cosines)
    columns = _columns(found, scores, rows)
    order = np.argsort(-scores, kind="stable").tolist()
    suspects = _suspects(columns)
    if out is not None:
        write_rows(out, {name: [values[row] for row in order] for name, values in columns.items()})
    return Outliers(
        model=model.name,
        data=data.name,
        num_pictures=len(found.keys),
        neighbours=rows.shape[1],
        num_odd=sum(z > ODD_Z for z in columns["z"]),
        num_suspects=len(suspects),
        outliers=() if out else tuple(Outlier(**_row(columns, Outlier, row)) for row in order[:limit]),
        suspects=() if out else tuple(Suspect(**_row(columns, Suspect, row)) for row in suspects[:limit]),
        out=out,
        skipped=dict(found.skipped),
    )


def _columns(found: Embeddings, scores: Float[np.ndarray, " B"], rows: Int[np.ndarray, "B _"]) -> dict[str, list[Any]]:
    """What there is to tell about each picture, in the source's order."""
    looks_like, share = neighbours_class(found.labels, rows)
    return {
        "key": list(found.keys),
        "score": scores.tolist(),
        "z": robust_z(scores).tolist(),
        "nearest": [found.keys[row] for row in rows[:, 0].tolist()],
        "label": _names(found.labels, found.classes),
        "looks_like": _names(looks_like, found.classes),
        "share": share.tolist(),
    }


def _suspects(columns: dict[str, list[Any]]) -> list[int]:
    """Pictures with a class of which most neighbours have another one, the surest and among those the oddest first."""
    told = zip(columns["label"], columns["looks_like"], columns["share"], strict=True)
    suspects = [row for row, (label, other, share) in enumerate(told) if label and other != label and share > 0.5]
    return sorted(suspects, key=lambda row: (-columns["share"][row], -columns["score"][row]))


def _names(labels: Int[np.ndarray, " B"], classes: tuple[str, ...]) -> list[str | None]:
    return [classes[label] if label >= 0 else None for label in labels.tolist()]


def _row(columns: dict[str, list[Any]], record: type[Record], row: int) -> dict[str, Any]:
    """What a record tells of one picture."""
    return {name: columns[name][row] for name in record.model_fields}
