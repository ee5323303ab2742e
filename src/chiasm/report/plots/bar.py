"""Horizontal bars with confidence intervals; the numbers are written, not only drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chiasm.core.errors import InputError
from chiasm.report import palette
from chiasm.report.formats import compact, elided, number, plain_line
from chiasm.report.plots._svg import canvas, to_svg
from chiasm.report.plots.plot import MAX_NAME_CHARACTERS, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: name, value, and lower and upper end of its interval where it has one."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    colour: palette.Colour = palette.SERIES[0]


def bars(
    items: Sequence[Bar],
    value_label: str = "",
    *,
    reference: tuple[str, float] | None = None,
    num_decimals: int = 1,
    title: str = "",
    caption: str = "",
    width_px: int = 720,
) -> Plot:
    """Draw horizontal bars from zero, top to bottom, with values and intervals written at the right.

    Args:
        items: the bars; names longer than 34 characters are cut in the middle.
        value_label: what the values are, with unit.
        reference: name and value of a level to compare with, drawn as a dashed line.
        num_decimals: of the written values.
        title, caption: text above and below.
        width_px: of the drawing; its height follows from the number of bars.

    Raises:
        InputError: there is no bar.
    """
    if not items:
        raise InputError("at least one bar", "none came", "leave the plot out")
    written = number(num_decimals)
    num_digits = max(len(written(item.value)) for item in items)
    positions = np.arange(len(items))
    values = np.array([item.value for item in items])
    ends = [end for item in items for end in item.interval or ()]
    with canvas(width_px, 64 + 30 * len(items) + 18 * (reference is not None)) as figure:
        axes = figure.add_subplot()
        axes.barh(
            positions,
            np.where(np.isfinite(values), values, 0),
            height=0.62,
            color=[item.colour.light for item in items],
        )
        for position, item in enumerate(items):
            if item.interval is not None and np.isfinite(item.interval).all():
                axes.plot(item.interval, (position, position), color=palette.INK.light, linewidth=1.5)
            _write(axes, position, item, written, num_digits)
        if reference is not None and np.isfinite(reference[1]):
            _reference_line(axes, *reference)
        axes.set_yticks(positions, [elided(item.name, MAX_NAME_CHARACTERS) for item in items])
        axes.tick_params(axis="y", labelcolor=palette.INK.light, pad=8)
        axes.set_ylim(len(items) - 0.5, -0.5)
        levels = [*values.tolist(), *ends, *([reference[1]] if reference is not None else [])]
        axes.set_xlim(*_limits(levels))
        axes.set_xlabel(plain_line(value_label), loc="right")
        axes.grid(visible=False, axis="y")
        axes.spines[["left", "bottom"]].set_visible(False)
        told = "; ".join(_told(item, written) for item in items)
        compared = f" {reference[0]}: {compact(reference[1])}." if reference is not None else ""
        alt = plain_line(f"Bars of {value_label or 'values'}. {told}.{compared}")
        return Plot(to_svg(figure, alt), alt, title, caption)


def _write(axes: Axes, position: int, item: Bar, written: Callable[[float], str], num_digits: int) -> None:
    """The value and its interval in two columns at the right of the bars."""
    place, digit_px = axes.get_yaxis_transform(), 8
    value_end = (14 + digit_px * num_digits, 0)
    common = {"xycoords": place, "textcoords": "offset points", "va": "center"}
    axes.annotate(written(item.value), (1, position), value_end, ha="right", **common)
    if item.interval is not None:
        low, high = (written(end) for end in item.interval)
        interval_start = (value_end[0] + 10, 0)
        axes.annotate(f"{low} to {high}", (1, position), interval_start, color=palette.SOFT.light, **common)


def _told(item: Bar, written: Callable[[float], str]) -> str:
    told = f"{item.name}: {written(item.value)}"
    if item.interval is None:
        return told
    low, high = (written(end) for end in item.interval)
    return f"{told} (interval {low} to {high})"


def _reference_line(axes: Axes, name: str, value: float) -> None:
    axes.axvline(value, color=palette.SOFT.light, linewidth=1.2, linestyle=(0, (2, 2)))
    place = axes.get_xaxis_transform()
    shown = elided(name, MAX_NAME_CHARACTERS)
    axes.text(value, 1.02, shown, transform=place, ha="center", va="bottom", fontsize=12, color=palette.SOFT.light)


def _limits(levels: Sequence[float]) -> tuple[float, float]:
    """From zero to all finite levels, with a little room beyond them."""
    finite = [0.0, *(level for level in levels if np.isfinite(level))]
    low, high = min(finite), max(finite)
    room = 0.03 * (high - low)
    return (low - room if low < 0 else 0.0), (1.0 if low == high else high + room if high > 0 else 0.0)
