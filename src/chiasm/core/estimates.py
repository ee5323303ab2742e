"""`Estimate`: a number that was measured on a sample, and how far it can be trusted."""

from __future__ import annotations

from chiasm.core.predictors import Record


class Estimate(Record):
    """A mean over pictures and its interval.

    When every picture has the same value the interval has no width: resampling cannot show what was never seen. With n
    pictures all answered right, error rates up to about 3 / n remain plausible.

    Attributes:
        value: the mean over the pictures at hand.
        low, high: ends of the 95 % interval; of a bootstrap over pictures unless it is said otherwise.
    """

    value: float
    low: float
    high: float
