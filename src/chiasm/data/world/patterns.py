"""Surface patterns: how the two tones of a colour share an object's surface.

A pattern is a function of the object's own coordinates (u to the right, v down, in diameters from the middle), so it
turns and grows with the object. It returns the share of the second tone, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

Plane = Float32[np.ndarray, "H W"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A surface pattern.

    Attributes:
        name: as in captions.
        tone: maps (u, v, width of a pixel in diameters) to the share of the second tone.
    """

    name: str
    tone: Callable[[Plane, Plane, float], Plane] = field(compare=False, repr=False)


_BAND = 0.27
"""Distance after which stripes and rings repeat, in diameters."""
_CELL = 0.19
"""Side of a square of the checkered pattern."""
_DOT_STEP = 0.27
_DOT_RADIUS = 0.085


def _plain(u: Plane, v: Plane, pixel: float) -> Plane:
    return np.zeros_like(u)


def _striped(u: Plane, v: Plane, pixel: float) -> Plane:
    return _edge(_triangle(v, _BAND) - _BAND / 4, pixel)


def _dotted(u: Plane, v: Plane, pixel: float) -> Plane:
    # Every other row is shifted by half a step, as in printed cloth.
    row = np.floor(v / _DOT_STEP + 0.5)
    shifted = u + (row % 2) * (_DOT_STEP / 2)
    across = shifted - np.floor(shifted / _DOT_STEP + 0.5) * _DOT_STEP
    down = v - row * _DOT_STEP
    return _edge(_DOT_RADIUS - np.hypot(across, down), pixel)


def _checkered(u: Plane, v: Plane, pixel: float) -> Plane:
    across = _edge(_triangle(u, 2 * _CELL) - _CELL / 2, pixel)
    down = _edge(_triangle(v, 2 * _CELL) - _CELL / 2, pixel)
    return across + down - 2 * across * down


def _zigzag(u: Plane, v: Plane, pixel: float) -> Plane:
    return _striped(u, v + _triangle(u, 0.36), pixel)


def _ringed(u: Plane, v: Plane, pixel: float) -> Plane:
    return _edge(_triangle(np.hypot(u, v), _BAND) - _BAND / 4, pixel)


PATTERNS: tuple[Pattern, ...] = (
    Pattern("plain", _plain),
    Pattern("striped", _striped),
    Pattern("dotted", _dotted),
    Pattern("checkered", _checkered),
    Pattern("zigzag", _zigzag),
    Pattern("ringed", _ringed),
)
"""Every pattern; the position in this tuple is the pattern index."""


def _triangle(x: Plane, period: float) -> Plane:
    """Distance to the nearest multiple of `period`: 0 to period / 2."""
    return np.abs(x - np.floor(x / period + 0.5) * period)


def _edge(distance: Plane, pixel: float) -> Plane:
    """Antialiased step: 0 outside, 1 inside, over the width of a pixel."""
    return (distance * np.float32(1 / pixel) + np.float32(0.5)).clip(0, 1)
