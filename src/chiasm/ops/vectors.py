"""Rows of numbers scaled to length 1, for everything that compares them by cosine."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def unit_rows(
    rows: Float[np.ndarray, "B D"],
) -> tuple[Float[np.ndarray, "B D"], Float[np.ndarray, " B"]]:
    """Each row divided by its length, and the lengths; a row of zeros stays zero."""
    norms = np.linalg.norm(rows, axis=1)
    return rows / np.maximum(norms, 1e-12)[:, None], norms
