"""A share with its interval, as a figure of a chapter."""

from __future__ import annotations

from chiasm.core.estimates import Estimate
from chiasm.report import blocks, formats


def share(name: str, estimate: Estimate | None, note: str) -> blocks.Figure:
    """A figure in percent; without a value where nothing was measured.

    Args:
        name: what was measured.
        estimate: from 0 to 1.
        note: what it is to be compared with.
    """
    value = None if estimate is None else 100 * estimate.value
    interval = None if estimate is None else (100 * estimate.low, 100 * estimate.high)
    return blocks.Figure(name, value, "%", interval, note=note, show=formats.number(1))
