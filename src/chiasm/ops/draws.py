"""A figure that was measured several times, each time on other pictures drawn to learn from."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from chiasm.core.estimates import Estimate


def mean_of_draws(values: Float[np.ndarray, " S"]) -> Estimate:
    """The mean and its 95 % interval by Student's t: what another set of draws would give, on the same test pictures.

    Args:
        values: one of each draw; at least two, since one does not tell how much draws differ.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"an interval over draws needs at least two of them, but there are {len(values)}")
    from scipy.special import stdtrit

    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(value=mean, low=mean - half, high=mean + half)
