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
    known = digests_of(learnt)
    found = digests(data, _places(data, [keys[row] for row in asked.tolist()]))
    is_there[asked] = [digest in known for digest in found]
    return is_there


def are_copies(data: Source, keys: Sequence[str]) -> Bool[np.ndarray, " B"]:
    """Which pictures have the content of one that comes before them; nothing is decoded.

    Args:
        data: where they come from.
        keys: those that could be read.
    """
    met: set[str] = set()
    is_copy = np.zeros(len(keys), dtype=bool)
    for row, digest in enumerate(digests(data, _places(data, keys))):
        if isinstance(digest, str):
            is_copy[row] = digest in met
            met.add(digest)
    return is_copy


def digests_of(source: Source) -> set[str]:
    """Identity of the content of all pictures that can be read."""
    return {digest for digest in digests(source, range(len(source))) if isinstance(digest, str)}


def digests(source: Source, places: Sequence[int]) -> list[str | BrokenPictureError]:
    """Identity of the content of some pictures, read in threads; what is wrong where it cannot be read."""

    def digest(place: int) -> str | BrokenPictureError:
        try:
            return source.digest(place)
        except BrokenPictureError as error:
            return error

    with ThreadPoolExecutor(num_processors(), thread_name_prefix="digests") as pool:
        return list(pool.map(digest, places))


def _places(source: Source, keys: Sequence[str]) -> list[int]:
    known = {source.key(place): place for place in range(len(source))}
    return [known[key] for key in keys]
