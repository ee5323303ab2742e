"""Retrieval between two sets of vectors: at which rank the first right one is found, and how often that is early.

Paper: Hodosh et al., 2013, "Framing Image Description as a Ranking Task", section 4: recall at k and median rank of
    the first right answer, where a picture has several captions.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

# Cosines held at once: 8 million of 4 bytes are 32 MB.
_COSINES_AT_ONCE = 8_000_000


def first_ranks(
    queries: Float[np.ndarray, "B D"],
    query_groups: Int[np.ndarray, " B"],
    gallery: Float[np.ndarray, "R D"],
    gallery_groups: Int[np.ndarray, " R"],
) -> Int[np.ndarray, " B"]:
    """Rank of the first right row of the gallery for each query, counted from 1.

    Rows that score the same as the right one are counted as before it: a model that gives everything one score finds
    nothing early.

    Args:
        queries: vectors of length 1.
        query_groups: what belongs together has the same number.
        gallery: vectors of length 1.
        gallery_groups: of each row; each group of a query must occur.

    Raises:
        ValueError: a query has no right row.
    """
    step = max(_COSINES_AT_ONCE // max(len(gallery), 1), 1)
    parts = [
        _first_ranks(queries[start : start + step] @ gallery.T, query_groups[start : start + step], gallery_groups)
        for start in range(0, len(queries), step)
    ]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _first_ranks(
    cosines: Float[np.ndarray, "B R"], query_groups: Int[np.ndarray, " B"], gallery_groups: Int[np.ndarray, " R"]
) -> Int[np.ndarray, " B"]:
    is_right = query_groups[:, None] == gallery_groups
    if not is_right.any(axis=1).all():
        raise ValueError("every query needs a right row in the gallery")
    best = np.where(is_right, cosines, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((cosines >= best) & ~is_right).sum(axis=1)
