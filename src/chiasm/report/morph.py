"""A block of a page on which points move from one map to another with a slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from chiasm.report._templates import render, source
from chiasm.report.marks import path_of
from chiasm.report.palette import Colour
from chiasm.report.plots.scatter import groups_of
from chiasm.report.script import Script

_MARGIN_PX = 12.0
_MARK_PX = 4.5


@dataclass(frozen=True, slots=True)
class MovingGroup:
    """Points of one class.

    Attributes:
        name: of the class.
        colour: of its marks.
        path: of its marks, as SVG.
        places: x and y at the start and at the end of each point in pixels, as numbers with blanks between them.
        starts: x and y at the start of each point.
    """

    name: str
    colour: Colour
    path: str
    places: str
    starts: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Morph:
    """Points that move; usually made by `Morph.of`.

    Attributes:
        groups: the points by class.
        names: of the two maps.
        width_px, height_px: of the drawing.
    """

    groups: tuple[MovingGroup, ...]
    names: tuple[str, str]
    width_px: int
    height_px: int

    @classmethod
    def of(
        cls,
        start: Float[np.ndarray, "S 2"],
        end: Float[np.ndarray, "S 2"],
        labels: Int[np.ndarray, " S"],
        classes: Sequence[str],
        names: tuple[str, str],
        width_px: int = 860,
        height_px: int = 640,
    ) -> Morph:
        """Bring two maps of the same points onto a page.

        Args:
            start: places on the first map.
            end: places on the second.
            labels: class of each point, -1 where it has none.
            classes: names that the labels point into.
            names: of the two maps.
            width_px, height_px: of the drawing.
        """
        first, second = fitted(start, end, width_px, height_px, _MARGIN_PX)
        groups = []
        for group in groups_of(labels, classes):
            rows = np.concatenate([first[group.members], second[group.members]], axis=1)
            places = " ".join(f"{number:.1f}" for number in rows.ravel().tolist())
            starts = tuple((round(x, 1), round(y, 1)) for x, y in first[group.members].tolist())
            groups.append(MovingGroup(group.name, group.colour, path_of(group.shape, _MARK_PX), places, starts))
        return cls(tuple(groups), names, width_px, height_px)

    @property
    def script(self) -> Script:
        """What makes the points move."""
        return Script(source("morph.js"))

    def __html__(self) -> str:
        return render("morph.html", "morph", self)


def fitted(
    start: Float[np.ndarray, "S 2"],
    end: Float[np.ndarray, "S 2"],
    width_px: int,
    height_px: int,
    margin_px: float,
) -> tuple[Float[np.ndarray, "S 2"], Float[np.ndarray, "S 2"]]:
    """Places on two maps in pixels of one drawing, y downwards; one unit is the same length on both axes and maps."""
    both = np.concatenate([start, end])
    low, high = both.min(axis=0), both.max(axis=0)
    room = np.array([width_px, height_px]) - 2 * margin_px
    scale = float((room / np.maximum(high - low, 1e-12)).min())
    placed = (both - (low + high) / 2) * scale * np.array([1, -1]) + np.array([width_px, height_px]) / 2
    return placed[: len(start)], placed[len(start) :]
