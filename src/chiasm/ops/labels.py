"""Arithmetic on class labels: one numbering for two sets of names, and fair draws from each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def relabel(labels: Int[np.ndarray, " B"], names: Sequence[str], onto: Sequence[str]) -> Int[np.ndarray, " B"]:
    """Labels that point into `names`, made to point into `onto`.

    Two folders number their classes each by its own folders: when one class is missing in the second, all later
    numbers shift, and equal numbers no longer mean equal classes. Only names can be compared.

    Args:
        labels: indices into `names`; -1 where there is no class.
        names: class names of the labels as they are.
        onto: class names of the labels as they shall be.

    Returns:
        Indices into `onto`; -1 where there was no class or `onto` does not have it.
    """
    place = {name: position for position, name in enumerate(onto)}
    # The extra last entry is what the label -1 picks.
    table = np.array([place.get(name, -1) for name in names] + [-1], dtype=np.int64)
    return table[labels]


def match_names(names: Sequence[str], onto: Sequence[str]) -> tuple[str, ...]:
    """Class names as another list writes them, where it means the same.

    Names are the same when they differ in case, blanks or underscores only, or when one is among several words for a
    class that the other list parts by commas ("tench, Tinca tinca"). What fits several classes fits none.

    Args:
        names: as they are.
        onto: as they shall be.

    Returns:
        One for each of `names`; itself where `onto` has nothing like it.
    """
    whole, words = {name: {name} for name in onto}, {}
    for name in onto:
        whole.setdefault(_plain(name), set()).add(name)
        for word in name.split(","):
            words.setdefault(_plain(word), set()).add(name)
    matched = []
    for name in names:
        candidates = (whole.get(name), whole.get(_plain(name)), words.get(_plain(name)))
        matched.append(next((next(iter(found)) for found in candidates if found and len(found) == 1), name))
    return tuple(matched)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def rank_in_class(labels: Int[np.ndarray, " B"], generator: np.random.Generator) -> Int[np.ndarray, " B"]:
    """A random place of each example among those of its class, counted from 0.

    `rank < n` draws n examples of each class; `rank % n` deals each class evenly over n folds.
    """
    order = generator.permutation(len(labels))
    ranks = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = np.arange(len(members))
    return ranks
