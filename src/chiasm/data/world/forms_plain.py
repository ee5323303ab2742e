"""Outlines of the geometric shapes: one function per class, of the class's name; sizes are free, see `shapes`."""

from __future__ import annotations

import numpy as np

from chiasm.data.world.curves import TURN, Form, box, disc, polygon, regular


def circle() -> Form:
    return Form((disc(0, 0, 1),))


def square() -> Form:
    return Form((box(-1, -1, 1, 1),))


def triangle() -> Form:
    return Form((regular(3),))


def pentagon() -> Form:
    return Form((regular(5),))


def hexagon() -> Form:
    return Form((regular(6),))


def star() -> Form:
    outer, inner = regular(5), -regular(5, 0.42)
    # A reflected pentagon has its corners between those of the outer one, three places on.
    corners = np.stack([outer, np.roll(inner, 2, axis=0)], axis=1).reshape(-1, 2)
    return Form((corners,))


def ring() -> Form:
    return Form((disc(0, 0, 1),), holes=(disc(0, 0, 0.52),))


def cross() -> Form:
    return Form((box(-0.33, -1, 0.33, 1), box(-1, -0.33, 1, 0.33)))


def crescent() -> Form:
    return Form((disc(0, 0, 1),), holes=(disc(0.48, 0, 0.82),))


def heart() -> Form:
    angle = np.arange(96) / 96 * TURN
    x = 16 * np.sin(angle) ** 3
    y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return Form((np.stack([x, -y], axis=1),))


def diamond() -> Form:
    return Form((polygon((0, -1.15), (0.62, 0), (0, 1.15), (-0.62, 0)),))


def arrow() -> Form:
    head = polygon((1.1, 0), (0.1, -0.8), (0.1, 0.8))
    return Form((box(-1.1, -0.3, 0.2, 0.3), head))
