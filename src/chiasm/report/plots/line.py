"""Curves over steps, each named at its end instead of in a legend that has to be looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from chiasm.core.errors import InputError
from chiasm.report import palette
from chiasm.report.formats import compact, elided, plain_line
from chiasm.report.plots._svg import canvas, to_svg
from chiasm.report.plots.plot import MAX_NAME_CHARACTERS, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Scale = Literal["linear", "log"]

_LINE_STYLES = ("-", (0, (5, 2)), (0, (1.5, 1.8)))
_MAX_DRAWN_POINTS = 600
_FEW_POINTS = 24
_LABEL_GAP_PX = 16.0
_MAX_STEP_TICKS = 7


@dataclass(frozen=True, slots=True)
class Series:
    """A named curve.

    Attributes:
        name: written at its right end.
        steps: positions on the horizontal axis, ascending.
        values: one for each step; those that are not finite leave a gap.
        low, high: ends of an interval around each value, drawn as a band.
    """

    name: str
    steps: Shaped[np.ndarray, " S"]
    values: Shaped[np.ndarray, " S"]
    low: Shaped[np.ndarray, " S"] | None = None
    high: Shaped[np.ndarray, " S"] | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """Where a curve ends, for its name."""

    name: str
    value: float
    colour: str


def curves(
    series: Sequence[Series],
    x_label: str = "step",
    y_label: str = "",
    *,
    smoothing: float = 0.0,
    references: Sequence[Series] = (),
    x_scale: Scale = "linear",
    y_scale: Scale = "linear",
    title: str = "",
    caption: str = "",
    width_px: int = 700,
    height_px: int = 340,
) -> Plot:
    """Draw curves, each named at its end.

    Args:
        series: drawn in the palette's order.
        x_label, y_label: what the axes show, with unit.
        smoothing: share of the past in an exponential mean, 0 (none) to below 1; the raw values stay visible behind it.
        references: drawn thin, grey and dashed (a diagonal, a level to reach).
        x_scale, y_scale: of the axes; where nothing is positive, an axis stays linear.
        title, caption: text above and below.
        width_px, height_px: of the drawing.

    Raises:
        InputError: there is no series, one has no point, or `smoothing` is out of range.
    """
    if not series or any(len(one.steps) == 0 for one in (*series, *references)):
        raise InputError("curves with at least one point each", "an empty one came", "leave it out")
    if not 0 <= smoothing < 1:
        raise InputError("a smoothing from 0 to below 1", f"{smoothing} came", "choose one in between")
    with canvas(width_px, height_px) as figure:
        axes = figure.add_subplot()
        if any((one.steps > 0).any() for one in series):
            axes.set_xscale(x_scale)
        if any((one.values > 0).any() for one in series):
            axes.set_yscale(y_scale)
        _plain_ticks(axes)
        ends = [_curve(axes, one, index, smoothing) for index, one in enumerate(series)]
        for one in references:
            colour = palette.SOFT.light
            axes.plot(one.steps, one.values, color=colour, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1)
            ends.append(_End(one.name, float(one.values[-1]), colour))
        _few_ticks(axes, series)
        axes.set_xlabel(plain_line(x_label), loc="right")
        axes.set_title(plain_line(y_label), loc="left", fontsize=12, color=palette.SOFT.light, pad=10)
        axes.margins(x=0.01)
        axes.grid(visible=False, axis="x")
        axes.spines["left"].set_visible(False)
        _spread(figure, [_end_label(axes, end) for end in ends])
        alt = f"Curves of {y_label or 'values'} over {x_label}. " + " ".join(_told(one) for one in series)
        return Plot(to_svg(figure, plain_line(alt)), plain_line(alt), title, caption)


def smoothed(values: Float[np.ndarray, " S"], smoothing: float) -> Float[np.ndarray, " S"]:
    """Exponential mean without the bias towards its start; values that are not finite are passed over.

    Args:
        values: a curve.
        smoothing: share of the past, 0 (returns the values) to below 1.
    """
    mean, weight = 0.0, 0.0
    result = np.full(len(values), np.nan)
    for index, value in enumerate(values.tolist()):
        if np.isfinite(value):
            mean = smoothing * mean + (1 - smoothing) * value
            weight = smoothing * weight + (1 - smoothing)
            result[index] = mean / weight
    return result


def thinned(values: Float[np.ndarray, " S"], max_points: int) -> Int[np.ndarray, " _"]:
    """Positions that suffice to draw a curve: the lowest and the highest value of each stretch, and both ends."""
    if len(values) <= max_points:
        return np.arange(len(values))
    bounds = np.linspace(0, len(values), max_points // 2 + 1).astype(int)
    chosen = {0, len(values) - 1}
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        stretch = values[start:stop]
        if np.isfinite(stretch).any():
            chosen |= {int(start + np.nanargmin(stretch)), int(start + np.nanargmax(stretch))}
        else:
            chosen.add(int(start))
    return np.array(sorted(chosen))


def _curve(axes: Axes, series: Series, index: int, smoothing: float) -> _End:
    colour = palette.SERIES[index % len(palette.SERIES)].light
    steps, raw = series.steps.astype(float), series.values.astype(float)
    raw = np.where(np.isfinite(raw), raw, np.nan)
    main = smoothed(raw, smoothing)
    if series.low is not None and series.high is not None:
        known = np.isfinite(series.low) & np.isfinite(series.high)
        axes.fill_between(steps[known], series.low[known], series.high[known], color=colour, alpha=0.16, linewidth=0)
    if smoothing > 0:
        shown = thinned(raw, _MAX_DRAWN_POINTS)
        axes.plot(steps[shown], raw[shown], color=colour, linewidth=1.0, alpha=0.28)
    shown = thinned(main, _MAX_DRAWN_POINTS)
    style = _LINE_STYLES[index // len(palette.SERIES) % len(_LINE_STYLES)]
    marker = {"marker": "o", "markersize": 5} if len(shown) <= _FEW_POINTS else {}
    axes.plot(steps[shown], main[shown], color=colour, linestyle=style, **marker)
    finite = main[np.isfinite(main)]
    return _End(series.name, float(finite[-1]) if len(finite) else np.nan, colour)


def _end_label(axes: Axes, end: _End) -> Text:
    """The name at the end of the curve; a curve without any finite value is named at the foot."""
    height = end.value if np.isfinite(end.value) else axes.get_ylim()[0]
    shown = elided(end.name, MAX_NAME_CHARACTERS)
    return axes.text(1.015, height, shown, transform=axes.get_yaxis_transform(), color=end.colour, va="center")


def _spread(figure: Figure, labels: Sequence[Text]) -> None:
    """Move labels apart vertically, as little as their order allows, within the height of the axes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    axes = figure.axes[0]
    bottom, top = axes.bbox.ymin, axes.bbox.ymax
    heights = [axes.transData.transform((axes.get_xlim()[0], label.get_position()[1]))[1] for label in labels]
    order = np.argsort(heights, kind="stable")
    places = spread_apart(np.clip(np.array(heights)[order], bottom, top), _LABEL_GAP_PX, top)
    for index, place in zip(order, places.tolist(), strict=True):
        labels[index].set_y(float(axes.transData.inverted().transform((0, place))[1]))


def spread_apart(heights: Float[np.ndarray, " S"], gap_px: float, top: float) -> Float[np.ndarray, " S"]:
    """Ascending heights moved so that neighbours are at least `gap_px` apart and the last is at most at `top`."""
    places = heights.copy()
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap_px)
    limit = top
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - gap_px
    return places


def _plain_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
        axis.set_minor_formatter(NullFormatter())


def _few_ticks(axes: Axes, series: Sequence[Series]) -> None:
    """Where only a few positions were measured, the axis names just these."""
    steps = np.unique(np.concatenate([one.steps for one in series]))
    if len(steps) <= _MAX_STEP_TICKS:
        axes.set_xticks(steps)
        axes.set_xticks([], minor=True)


def _told(series: Series) -> str:
    known = np.flatnonzero(np.isfinite(series.values.astype(float)))
    if len(known) == 0:
        return f"{series.name}: no finite value."
    first, last = (f"{compact(series.values[index])} at {compact(series.steps[index])}" for index in known[[0, -1]])
    return f"{series.name}: from {first} to {last}."
