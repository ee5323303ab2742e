"""Closed curves from which the shapes of the world are drawn, and `Form`: a body, its holes and its details.

Coordinates are free (x to the right, y down); whoever uses a form scales it. A loop is an array of corners, [num 2].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Loop = Float[np.ndarray, "_ 2"]
TURN = 2 * np.pi


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What one shape looks like before colour.

    Attributes:
        body: loops whose union is the silhouette.
        holes: loops cut out of the union.
        dark: details printed in a dark tone (tyres, a door, an eye).
        light: details printed in a pale tone (window panes, the dots of a cap).
    """

    body: tuple[Loop, ...]
    holes: tuple[Loop, ...] = ()
    dark: tuple[Loop, ...] = ()
    light: tuple[Loop, ...] = ()


def polygon(*corners: tuple[float, float]) -> Loop:
    """A loop through the given corners."""
    return np.array(corners, np.float64)


def box(left: float, top: float, right: float, bottom: float) -> Loop:
    """An upright rectangle."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, start: float = 0.0, stop: float = 1.0, num: int = 72
) -> Loop:
    """An ellipse, or the closed segment of one.

    Args:
        start, stop: share of a full turn, clockwise from the right, at which the segment begins and ends.
        num: corners.
    """
    angle = np.linspace(start, stop, num, endpoint=stop - start < 1) * TURN
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def disc(x: float, y: float, radius: float) -> Loop:
    """A circle."""
    return ellipse(x, y, radius, radius)


def regular(num: int, radius: float = 1.0) -> Loop:
    """A regular polygon with one corner at the top."""
    angle = (np.arange(num) / num - 0.25) * TURN
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def spline(*corners: tuple[float, float], num: int = 8) -> Loop:
    """A smooth closed curve through the given points (uniform Catmull-Rom, `num` pieces between two points)."""
    points = np.array(corners, np.float64)
    before, after, second = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    step = (np.arange(num) / num)[None, :, None]
    p0, p1, p2, p3 = (part[:, None] for part in (before, points, after, second))
    curve = 0.5 * (
        2 * p1 + (p2 - p0) * step + (2 * p0 - 5 * p1 + 4 * p2 - p3) * step**2 + (3 * p1 - p0 - 3 * p2 + p3) * step**3
    )
    return curve.reshape(-1, 2)


def mirrored(*corners: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """The right half of a left-right symmetric loop, top to bottom, completed by its reflection."""
    return corners + tuple((-x, y) for x, y in reversed(corners) if x != 0)


def stroke(width: float, *corners: tuple[float, float]) -> tuple[Loop, ...]:
    """A line of the given width with round ends and joints, as several loops."""
    points = np.array(corners, np.float64)
    loops = [disc(float(x), float(y), width / 2) for x, y in points]
    for start, stop in zip(points[:-1], points[1:], strict=True):
        along = (stop - start) / np.linalg.norm(stop - start)
        side = np.array([-along[1], along[0]]) * width / 2
        loops.append(np.stack([start + side, stop + side, stop - side, start - side]))
    return tuple(loops)


def turned(loop: Loop, share: float, centre: tuple[float, float] = (0.0, 0.0)) -> Loop:
    """A loop rotated clockwise by a share of a full turn."""
    cosine, sine = np.cos(share * TURN), np.sin(share * TURN)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    return (loop - np.array(centre)) @ rotation + np.array(centre)


def scallops(stops: Sequence[float], depth: float) -> list[tuple[float, float]]:
    """Corners of a scalloped edge at height 0: an arc of the given depth (down is positive) between two stops."""
    corners: list[tuple[float, float]] = []
    for left, right in zip(stops[:-1], stops[1:], strict=True):
        step = np.linspace(0, 1, 9)
        xs, ys = left + (right - left) * step, depth * np.sin(np.pi * step)
        corners += zip(xs.tolist(), ys.tolist(), strict=True)
    return corners
