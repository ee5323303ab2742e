"""Confusion matrices: what was answered (columns) for what was true (rows)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.report import palette
from chiasm.report.formats import elided, plain_line
from chiasm.report.plots._svg import canvas, to_svg
from chiasm.report.plots.plot import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_CELL_PX = 46.0
_MIN_LABELLED_CELL_PX = 10
_MIN_WRITTEN_CELL_PX = 26
_NUM_STRENGTHS = 20
_MAX_CLASS_CHARACTERS = 20


def confusion(
    counts: Int[np.ndarray, "K K"],
    classes: Sequence[str],
    *,
    title: str = "",
    caption: str = "",
    width_px: int = 640,
) -> Plot:
    """Draw a confusion matrix; colour tells the share of the row, which is the true class.

    Cells of at least 26 px bear that share in percent; class names are left out where rows are thinner than 10 px.

    Args:
        counts: how often the class of the row was answered with the class of the column.
        classes: names of the K classes; those longer than 20 characters are cut in the middle.
        title, caption: text above and below.
        width_px: of the drawing at most; few classes need less.

    Raises:
        InputError: there is no class, or there are not as many names as classes.
    """
    num_classes = len(counts)
    if num_classes == 0 or len(classes) != num_classes:
        raise InputError(f"{num_classes} class names, at least one", f"{len(classes)} came", "name each class once")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names_px = 7 * max(len(elided(name, _MAX_CLASS_CHARACTERS)) for name in classes) + 40
    cell_px = min(_MAX_CELL_PX, max(80.0, width_px - names_px) / num_classes)
    side_px = round(cell_px * num_classes + names_px)
    with canvas(side_px, side_px) as figure:
        axes = figure.add_subplot()
        _cells(axes, shares)
        if cell_px >= _MIN_WRITTEN_CELL_PX:
            _cell_texts(axes, shares)
        _class_ticks(axes, [elided(name, _MAX_CLASS_CHARACTERS) for name in classes], cell_px)
        alt = plain_line(_told(counts, classes))
        return Plot(to_svg(figure, alt), alt, title, caption)


def _cells(axes: Axes, shares: Float[np.ndarray, "K K"]) -> None:
    """Squares in twenty strengths of one colour, one path for each strength; empty cells cost nothing."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]) - 0.5
    corner_codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    strengths = np.ceil(shares * _NUM_STRENGTHS).astype(int)
    for strength in range(1, _NUM_STRENGTHS + 1):
        rows, columns = np.nonzero(strengths == strength)
        if len(rows) == 0:
            continue
        centres = np.stack([columns, rows], axis=1)
        squares = Path((centres[:, None] + 0.94 * corners).reshape(-1, 2), corner_codes * len(rows))
        opacity = 0.06 + 0.94 * strength / _NUM_STRENGTHS
        axes.add_patch(PathPatch(squares, facecolor=palette.ACCENT.light, alpha=opacity, linewidth=0))
    axes.set_xlim(-0.5, len(shares) - 0.5)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_aspect("equal")


def _cell_texts(axes: Axes, shares: Float[np.ndarray, "K K"]) -> None:
    for row, column in zip(*np.nonzero(shares >= 0.005), strict=True):
        share = shares[row, column]
        colour = palette.PAPER.light if share > 0.5 else palette.INK.light
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=11, color=colour)


def _class_ticks(axes: Axes, names: Sequence[str], cell_px: float) -> None:
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("answered", loc="left")
    axes.set_ylabel("true", loc="top")
    if cell_px < _MIN_LABELLED_CELL_PX:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    size = min(12.0, cell_px)
    places = np.arange(len(names))
    axes.set_yticks(places, names, fontsize=size, color=palette.INK.light)
    axes.set_xticks(places, names, fontsize=size, color=palette.INK.light)
    axes.tick_params(axis="x", labelrotation=90)


def _told(counts: Int[np.ndarray, "K K"], classes: Sequence[str]) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    told = f"Confusion matrix of {len(classes)} classes: {right} of {total} right."
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    pairs = [divmod(int(place), len(classes)) for place in order if wrong.flat[place] > 0]
    mistakes = [f"{classes[true]} answered as {classes[answer]} ({wrong[true, answer]})" for true, answer in pairs]
    return f"{told} Most frequent mistakes: {'; '.join(mistakes)}." if mistakes else told
