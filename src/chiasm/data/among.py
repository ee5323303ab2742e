"""Which pictures of one source are also in another, or twice in it, by what is in their files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source
from chiasm.data.processors import num_processors


def is_among(
    learnt: Source, data: Source, keys: Sequence[str], is_asked: Bool[np.ndarray, " B"]
) -> Bool[np.ndarray, " B"]:
    """Which pictures have the content of one that was learnt from, under whatever name; nothing is decoded.

    Args:
        learnt: pictures learnt from.
        data: where the others come from.
        keys: those that could be read.
        is_asked: those of which it is to be known; False comes back for the others.
    """
    is_there = np.zeros(len(keys), dtype=bool)
    asked = np.flatnonzero(is_asked)
    if not len(asked):
        return is_there
    places = {data.key(place): place for place in range(len(data))}
    known = set(_digests(learnt, range(len(learnt)))) - {None}
    found = _digests(data, [places[keys[row]] for row in asked.tolist()])
    is_there[asked] = [digest in known for digest in found]
    return is_there


def are_copies(data: Source, keys: Sequence[str]) -> Bool[np.ndarray, " B"]:
    """Which pictures have the content of one that comes before them; nothing is decoded.

    Args:
        data: where they come from.
        keys: those that could be read.
    """
    places = {data.key(place): place for place in range(len(data))}
    met: set[str | None] = set()
    is_copy = np.zeros(len(keys), dtype=bool)
    for row, digest in enumerate(_digests(data, [places[key] for key in keys])):
        is_copy[row] = digest is not None and digest in met
        met.add(digest)
    return is_copy


def _digests(source: Source, places: Sequence[int]) -> list[str | None]:
    """Identity of the content of some pictures, read in threads; None where it cannot be read."""

    def digest(place: int) -> str | None:
        try:
            return source.digest(place)
        except BrokenPictureError:
            # Told by whoever decodes it.
            return None

    with ThreadPoolExecutor(num_processors(), thread_name_prefix="digests") as pool:
        return list(pool.map(digest, places))
