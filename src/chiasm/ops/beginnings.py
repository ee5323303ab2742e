"""Texts that begin alike: which of many share how many of their first tokens, so that these are computed once.

A thousand names in the sentence "a photo of a {}." are a thousand texts of which half is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True, slots=True)
class Alike:
    """Texts that begin with the same tokens.

    Attributes:
        rows: which texts.
        num_shared: tokens that they share, at least one less than the shortest of them has; 0 for texts that share
            nothing worth it.
    """

    rows: Int[np.ndarray, " _"]
    num_shared: int


def shared_beginnings(tokens: Int[np.ndarray, "B T"], lengths: Int[np.ndarray, " B"], least: int) -> tuple[Alike, ...]:
    """Put texts together so that few tokens remain to be computed; each is in one group.

    Sorted texts are a tree of beginnings. Of each branch either all texts are a group, or its own branches are judged
    in the same way, whichever saves more.

    Args:
        tokens: of each text.
        lengths: how many of them count.
        least: texts that are worth a group of their own.
    """
    order = np.lexsort(tokens.T[::-1])
    ordered, ends = tokens[order], lengths[order]
    is_same = ordered[1:] == ordered[:-1]
    common = np.where(is_same.all(axis=1), tokens.shape[1], is_same.argmin(axis=1))
    common = np.minimum(common, np.minimum(ends[1:], ends[:-1]) - 1)
    _, groups = _best(common, 0, len(tokens), least)
    found = [Alike(order[start:stop], num_shared) for start, stop, num_shared in groups]
    alone = np.ones(len(tokens), bool)
    for start, stop, _ in groups:
        alone[start:stop] = False
    return (*found, Alike(order[alone], 0)) if alone.any() else tuple(found)


def _best(common: Int[np.ndarray, " _"], start: int, stop: int, least: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Tokens saved, and groups as (first row, row after the last, tokens shared), among neighbours in sorted order.

    Either all rows share what the two most different neighbours do, or they are parted between those.
    """
    if stop - start < least:
        return 0, []
    inner = common[start : stop - 1]
    fewest = int(inner.min())
    saved = (stop - start - 1) * fewest
    parts = [_best(common, first, last, least) for first, last in _parted(inner == fewest, start, stop)]
    together = sum(part for part, _ in parts)
    if saved >= together:
        return saved, [(start, stop, fewest)] if fewest else []
    return together, [group for _, groups in parts for group in groups]


def _parted(is_cut: np.ndarray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Rows between cuts; a cut is after the row of its place."""
    first = start
    for cut in np.flatnonzero(is_cut).tolist():
        yield first, start + cut + 1
        first = start + cut + 1
    yield first, stop
