"""Two classifiers on the same pictures: whether one is right more often than chance would have it.

Paper: McNemar, 1947, "Note on the sampling error of the difference between correlated proportions or percentages", in
    its exact form: of the pictures that only one of the two answered right, each is as likely the first one's; Holm,
    1979, "A simple sequentially rejective multiple test procedure", for many tests at once.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def mcnemar(num_only_first: int, num_only_second: int) -> float:
    """Probability of a split at least as uneven if both are equally good (exact, two-sided).

    Args:
        num_only_first: pictures that only the first one answered right.
        num_only_second: pictures that only the second one answered right.
    """
    from scipy.stats import binom

    total, fewer = num_only_first + num_only_second, min(num_only_first, num_only_second)
    return float(min(1.0, 2 * binom.cdf(fewer, total, 0.5)))


def holm(p_values: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """P values of many tests made so much larger that one below 0.05 is rare also among all of them."""
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * (len(p_values) - np.arange(len(p_values)))
    adjusted = np.empty_like(scaled)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
