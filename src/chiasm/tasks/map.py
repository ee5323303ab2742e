"""Map: pictures in two dimensions as a model sees them, or as two do, with what moves from one to the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings, Encoder, MapPainter, PictureMap, Record
from chiasm.core.seeds import derive, stream
from chiasm.ops.plane import FEWEST, PlaneMethod, plane, turned_onto
from chiasm.tasks._places import check_suffix

# Shorter side of the pictures that are read for the map; they are shown far smaller.
_SHOWN_SIDE_PX = 92
_NAMES = {"pca": "principal components", "tsne": "t-SNE", "umap": "UMAP"}


class Mapped(Record):
    """What `map` did.

    Attributes:
        model: name of the model.
        other: name of the model that it is set beside; None without one.
        data: name of the source.
        method: how vectors were laid out.
        num_points: pictures on the map.
        num_pictures: pictures that all models could read, from which these were drawn.
        apart: what two maps do not have in common after one was turned onto the other, 0 to 1 (1 minus the squared
            correlation of Procrustes); None with one model.
        out: the page that was written.
        animation: the .gif that was written.
        skipped: pictures that could not be read, and why.
    """

    model: str
    other: str | None
    data: str
    method: PlaneMethod
    num_points: int
    num_pictures: int
    apart: float | None
    out: Path
    animation: Path | None
    skipped: dict[str, str]


def map(
    model: Encoder,
    data: Source,
    out: Path,
    painter: MapPainter,
    other: Encoder | None = None,
    method: PlaneMethod = "tsne",
    points: int = 2000,
    seed: int = 0,
    animation: Path | None = None,
) -> Mapped:
    """Draw a map on which pictures lie near those that are alike to a model.

    With two models the second map is moved, turned, mirrored and scaled as a whole onto the first, and a slider moves
    every picture from its place on the one to its place on the other.

    Args:
        model: the encoder.
        data: the pictures; their classes, if any, give the colours.
        out: the .html page to write; it needs nothing else.
        painter: draws the maps.
        other: an encoder to set beside it.
        method: `tsne` or `umap` (neighbourhoods; distances between far points mean little), or `pca` (a straight
            projection).
        points: most pictures on the map, drawn by `seed` where there are more.
        seed: draws the pictures, and is that of the method.
        animation: with two models, a .gif to write of what moves.

    Raises:
        InputError: the names of the files do not fit, an animation is asked for with one model, points is too small or
            there are too few pictures.
        MissingExtraError: the library behind `umap` is not installed.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_suffix(out, (".html",))
    if animation is not None:
        check_suffix(animation, (".gif",))
        if other is None:
            raise InputError("two models for an animation", "one came", "give --other, or leave the animation out")
    if points < FEWEST:
        raise InputError(f"at least {FEWEST} points", f"{points} came", "2000 is usual")
    models = [model] if other is None else [model, other]
    embedded = [one.embed(data) for one in models]
    shared = _shared(embedded)
    if len(shared) < FEWEST:
        do = "add pictures"
        raise InputError(f"at least {FEWEST} pictures for a map", f"{data.name} has {len(shared)} to show", do)
    chosen = sorted(stream(seed, "map").permutation(len(shared))[:points].tolist())
    keys = tuple(shared[place] for place in chosen)
    places = [plane(_rows(one, keys), method, derive(seed, "map", method)) for one in embedded]
    apart = None
    if len(places) == 2:
        places[1], apart = turned_onto(places[1], places[0])
    first, place_of = embedded[0], {data.key(index): index for index in range(len(data))}
    labels = dict(zip(first.keys, first.labels.tolist(), strict=True))
    found = PictureMap(
        models=tuple(one.name for one in models),
        points=tuple(places),
        labels=np.array([labels[key] for key in keys], dtype=np.int64),
        classes=first.classes,
        keys=keys,
        picture=lambda row: data.read(place_of[keys[row]], _SHOWN_SIDE_PX).picture,
    )
    painter.page(out, found, _title(found), _note(data, found, method, apart))
    if animation is not None:
        painter.animation(animation, found)
    return Mapped(
        model=model.name,
        other=None if other is None else other.name,
        data=data.name,
        method=method,
        num_points=len(keys),
        num_pictures=len(shared),
        apart=apart,
        out=out,
        animation=animation,
        skipped={key: reason for one in embedded for key, reason in one.skipped},
    )


def _shared(embedded: list[Embeddings]) -> list[str]:
    """Keys of the pictures that all models could read, in the source's order."""
    others = [frozenset(one.keys) for one in embedded[1:]]
    return [key for key in embedded[0].keys if all(key in one for one in others)]


def _rows(embeddings: Embeddings, keys: tuple[str, ...]) -> Float[np.ndarray, "S D"]:
    row = {key: place for place, key in enumerate(embeddings.keys)}
    return embeddings.vectors[[row[key] for key in keys]]


def _title(found: PictureMap) -> str:
    return f"How {' and '.join(found.models)} see{'s' if len(found.models) == 1 else ''} {len(found.keys)} pictures"


def _note(data: Source, found: PictureMap, method: PlaneMethod, apart: float | None) -> str:
    told = f"{data.name}, {len(found.keys)} pictures, laid out by {_NAMES[method]}."
    if apart is None:
        return told
    return f"{told} The second map is turned onto the first; {apart:.0%} of it is not explained by that one."
