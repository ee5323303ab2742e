"""A set of vectors looked at by itself: nearest others, groups of the almost equal, what lies apart.

Paper: Ramaswamy, Rastogi and Shim, 2000, "Efficient Algorithms for Mining Outliers from Large Data Sets", section 2,
    ranks points by the distance to their k-th nearest neighbour; Angiulli and Pizzuti, 2002, "Fast Outlier Detection in
    High Dimensional Spaces", by the sum over the k nearest, which hangs less on one of them. The second is used here.
    Iglewicz and Hoaglin, 1993, "How to Detect and Handle Outliers", for the z-value from medians.
Differs: distances are 1 - cosine, and their mean is taken, so that scores for several k can be compared.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

# Rows and columns of cosines that are looked at once: 2,048 x 2,048 of float32 are 16 MiB, and where all of them
# are pairs, their places are 64 MiB.
_BLOCK_ROWS = 2048
# Cosines of equal vectors in float32 come out this far from 1.
_ROUNDING = 1e-6
# What makes a median distance from the median, and a mean one, the standard deviation of a normal distribution.
_FROM_MEDIAN, _FROM_MEAN = 1.4826, 1.2533


def nearest_others(
    vectors: Float[np.ndarray, "B D"], k: int
) -> tuple[Float[np.ndarray, "B _"], Int[np.ndarray, "B _"]]:
    """The k rows closest to each row in angle, the row itself left out.

    Memory stays bounded however many rows there are.

    Args:
        vectors: rows of length 1, at least two of them.
        k: neighbours asked for, at least 1; min(k, B - 1) columns are returned.

    Returns:
        Cosines, falling, and the rows they belong to.

    Raises:
        ValueError: k is below 1 or there are fewer than two rows.
    """
    if k < 1 or len(vectors) < 2:
        raise ValueError(f"neighbours need k >= 1 and two rows, but k is {k} and there are {len(vectors)} rows")
    # Importing PyTorch takes a second, which help texts can do without.
    import torch

    from chiasm.ops.similarity import nearest_rows

    rows = torch.from_numpy(vectors)
    cosines, places = nearest_rows(rows, rows, min(k, len(vectors) - 1), torch.arange(len(vectors)))
    return cosines.numpy(), places.numpy()


def groups_of_similar(vectors: Float[np.ndarray, "B D"], threshold: float) -> Int[np.ndarray, " B"]:
    """Rows that can be reached from each other in steps of at least a given cosine (single linkage).

    Memory stays bounded however many rows there are.

    Args:
        vectors: rows of length 1.
        threshold: cosine of two rows that belong together, up to rounding.

    Returns:
        For each row the first row of its group; a row like no other is its own.
    """
    first = np.arange(len(vectors))
    for top in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[top : top + _BLOCK_ROWS]
        for left in range(top, len(vectors), _BLOCK_ROWS):
            cosines = block @ vectors[left : left + _BLOCK_ROWS].T
            rows, columns = np.nonzero(cosines >= threshold - _ROUNDING)
            first = _joined(first, first[rows + top], first[columns + left])
    return first


def odd_scores(cosines: Float[np.ndarray, "B _"]) -> Float[np.ndarray, " B"]:
    """How far each row lies from its nearest neighbours: the mean of 1 - cosine, 0 to 2."""
    return 1 - cosines.mean(axis=1, dtype=np.float64)


def robust_z(scores: Float[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    """Distance of each score from the median in standard deviations, both told from medians.

    A few scores far out move neither, so that they cannot hide each other. Above 3.5 a score is commonly called odd.
    Where more than half of the scores are equal, the mean distance from the median stands in for the median one; where
    all are, every value is 0.
    """
    distance = scores - np.median(scores)
    spread = _FROM_MEDIAN * np.median(np.abs(distance))
    if spread == 0:
        spread = _FROM_MEAN * np.abs(distance).mean()
    return distance / spread if spread else np.zeros_like(distance)


def neighbours_class(
    labels: Int[np.ndarray, " B"], rows: Int[np.ndarray, "B _"]
) -> tuple[Int[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """The most frequent class among the neighbours of each row, and its share of those that have one.

    Args:
        labels: class of each row, -1 where it has none.
        rows: neighbours of each row, the nearest first; among equally frequent classes the nearest counts.

    Returns:
        The class, -1 where no neighbour has one, and its share, 0 to 1.
    """
    voted = labels[rows]
    # One column after the other: all at once would take memory for each pair of neighbours.
    votes = np.stack([(voted == one[:, None]).sum(axis=1) for one in voted.T], axis=1) * (voted >= 0)
    best = votes.argmax(axis=1)[:, None]
    share = np.take_along_axis(votes, best, axis=1)[:, 0] / np.maximum((voted >= 0).sum(axis=1), 1)
    return np.where(share > 0, np.take_along_axis(voted, best, axis=1)[:, 0], -1), share


def _joined(
    first: Int[np.ndarray, " B"], one: Int[np.ndarray, " _"], other: Int[np.ndarray, " _"]
) -> Int[np.ndarray, " B"]:
    """Groups joined by pairs of them; every group is named by its first row, also afterwards."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    differ = one != other
    if not differ.any():
        return first
    size = len(first)
    pairs = coo_array((np.ones(int(differ.sum()), np.bool_), (one[differ], other[differ])), shape=(size, size))
    _, numbers = connected_components(pairs, directed=False)
    # The first place at which each number occurs; groups that were joined before are named by rows of their own.
    _, places = np.unique(numbers, return_index=True)
    return places[numbers][first]
