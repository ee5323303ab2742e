"""Reliability plots: how often answers were right (height) against how sure they were (place), bin by bin.

Paper: Guo et al., 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599), figure 1.
Differs: a point for each bin, at its mean confidence and as large as the bin is full, where the paper draws bars of one
    width; a line joins it to the diagonal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.report import palette
from chiasm.report.formats import percent, plain_line
from chiasm.report.plots._svg import canvas, to_svg
from chiasm.report.plots.plot import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_AREA_PX, _MOST_AREA_PX = 16.0, 420.0


def reliability(
    confidence: Float[np.ndarray, " S"],
    accuracy: Float[np.ndarray, " S"],
    count: Int[np.ndarray, " S"],
    *,
    title: str = "",
    caption: str = "",
    width_px: int = 420,
) -> Plot:
    """Draw a point for each bin that has answers; on the diagonal probabilities are what they promise.

    Args:
        confidence: mean probability of the answers in each bin, 0 to 1.
        accuracy: share of them that was right.
        count: how many there are; larger points have more.
        title, caption: text above and below.
        width_px: side of the drawing.

    Raises:
        InputError: no bin has an answer.
    """
    is_filled = count > 0
    if not is_filled.any():
        raise InputError("at least one answer", "none came", "leave the plot out")
    confidence, accuracy, count = confidence[is_filled], accuracy[is_filled], count[is_filled]
    with canvas(width_px, width_px) as figure:
        axes = figure.add_subplot()
        axes.plot((0, 1), (0, 1), color=palette.SOFT.light, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1)
        _gaps(axes, confidence, accuracy)
        areas = _LEAST_AREA_PX + (_MOST_AREA_PX - _LEAST_AREA_PX) * count / count.max()
        axes.scatter(confidence, accuracy, s=areas, color=palette.SERIES[0].light, alpha=0.85, linewidths=0, zorder=3)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_xlabel("probability of the answer", loc="right")
        axes.set_title("share right", loc="left", fontsize=12, color=palette.SOFT.light, pad=10)
        alt = plain_line(_told(confidence, accuracy, count))
        return Plot(to_svg(figure, alt), alt, title, caption)


def _gaps(axes: Axes, confidence: Float[np.ndarray, " S"], accuracy: Float[np.ndarray, " S"]) -> None:
    """What is missing to the diagonal, as thin lines."""
    axes.vlines(confidence, confidence, accuracy, color=palette.SERIES[1].light, linewidth=1.5, alpha=0.7, zorder=2)


def _told(confidence: Float[np.ndarray, " S"], accuracy: Float[np.ndarray, " S"], count: Int[np.ndarray, " S"]) -> str:
    shown = percent(0)
    bins = [
        f"{number} answers of {shown(sure)} % were right in {shown(right)} %"
        for sure, right, number in zip(confidence.tolist(), accuracy.tolist(), count.tolist(), strict=True)
    ]
    return f"Reliability plot of {int(count.sum())} answers: {'; '.join(bins)}."
