"""Tables that rendering reads from, one set per picture size, drawn once and kept: coordinates, noise, paper, strokes.

A table with a margin is half as long again as the picture on each side; `grain` chooses the window a picture sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from jaxtyping import Float32

from chiasm.core.seeds import stream
from chiasm.data.world.curves import TURN
from chiasm.data.world.textures import cloudy

Plane = Float32[np.ndarray, "H W"]

_NUM_SIZES = 8
"""For so many picture sizes tables are kept at once; large ones take much memory."""
_STROKES_PX = 768
_UNIT_PX = 512
_NUM_STROKES = 8000


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Pixel centres as shares of the picture's side from its middle (x, y), and their squared distance from it."""

    x: Plane
    y: Plane
    squared: Plane


@lru_cache(maxsize=_NUM_SIZES)
def coordinates(size_px: int) -> Coordinates:
    """Coordinates of the pixels of a picture."""
    line = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px - 0.5
    x, y = np.meshgrid(line, line)
    return Coordinates(x, y, x**2 + y**2)


def corner(grain: int, size_px: int) -> tuple[int, int]:
    """Row and column in a table with a margin at which a picture's window begins."""
    row, column = divmod(grain % 2**16, 2**8)
    return row * (size_px // 2) // 256, column * (size_px // 2) // 256


def noise(grain: int, size_px: int) -> Float32[np.ndarray, "3 H W"]:
    """Sensor noise: mostly brightness, some colour; standard deviation about 1 per channel."""
    row, column = corner(grain, size_px)
    return _noise(size_px)[:, row : row + size_px, column : column + size_px]


def paper(grain: int, size_px: int) -> Plane:
    """Tooth of drawing paper; mean 0, standard deviation about 1 on fine grids and less on coarse ones."""
    row, column = corner(grain, size_px)
    return _paper(size_px)[row : row + size_px, column : column + size_px]


@dataclass(frozen=True, slots=True)
class Strokes:
    """Brush strokes that cover a picture.

    Attributes:
        x, y: where in the picture the paint at each pixel was picked up, in pixels relative to that pixel.
        bristle: streaks and tone of the strokes; about -1 to 1.
    """

    x: Plane
    y: Plane
    bristle: Plane


def strokes(grain: int, size_px: int) -> Strokes:
    """The strokes of one picture."""
    row, column = corner(grain, size_px)
    full = _strokes(size_px)
    part = (slice(row, row + size_px), slice(column, column + size_px))
    return Strokes(full.x[part], full.y[part], full.bristle[part])


@lru_cache(maxsize=_NUM_SIZES)
def _noise(size_px: int) -> Float32[np.ndarray, "3 H W"]:
    side = _with_margin(size_px)
    draw = stream(0, "world noise", size_px)
    brightness = draw.standard_normal((1, side, side), np.float32)
    colour = draw.standard_normal((3, side, side), np.float32)
    return 0.9 * brightness + 0.45 * colour


@lru_cache(maxsize=_NUM_SIZES)
def _paper(size_px: int) -> Plane:
    tooth = cloudy("paper", 200, slope=0.15)
    return _resized(np.pad(tooth, ((0, _UNIT_PX // 2), (0, _UNIT_PX // 2)), mode="wrap"), size_px, cv2.INTER_AREA)


@lru_cache(maxsize=_NUM_SIZES)
def _strokes(size_px: int) -> Strokes:
    x, y, bristle = _stroke_master()
    return Strokes(
        _resized(x, size_px, cv2.INTER_NEAREST) * size_px,
        _resized(y, size_px, cv2.INTER_NEAREST) * size_px,
        _resized(bristle, size_px, cv2.INTER_AREA),
    )


@cache
def _stroke_master() -> tuple[Plane, Plane, Plane]:
    """Pick-up offsets (shares of the picture's side) and bristle on the finest grid."""
    draw = stream(0, "world strokes")
    flow = np.pad(cloudy("brush flow", 3, slope=1.0), ((0, _UNIT_PX // 2), (0, _UNIT_PX // 2)), mode="wrap")
    middle = draw.uniform(0, _STROKES_PX, (_NUM_STROKES, 2))
    cell = middle.astype(int)
    angle = 0.9 * flow[cell[:, 1], cell[:, 0]] + draw.normal(0, 0.2, _NUM_STROKES) + 0.5
    length = draw.uniform(0.05, 0.1, _NUM_STROKES) * _UNIT_PX
    width = draw.uniform(0.022, 0.036, _NUM_STROKES) * _UNIT_PX
    owner = np.full((_STROKES_PX, _STROKES_PX), -1, np.int32)
    for k in range(_NUM_STROKES):
        points = cv2.ellipse2Poly(
            (int(middle[k, 0]), int(middle[k, 1])),
            (int(length[k] / 2), max(int(width[k] / 2), 1)),
            int(np.degrees(angle[k])),
            0,
            360,
            30,
        )
        cv2.fillConvexPoly(owner, np.array(points), k)
    row, column = np.indices(owner.shape)
    across_x, across_y = -np.sin(angle), np.cos(angle)
    off_x, off_y = middle[owner, 0] - column, middle[owner, 1] - row
    off_x[owner < 0] = off_y[owner < 0] = 0
    across = off_x * across_x[owner] + off_y * across_y[owner]
    along = off_x * across_y[owner] - off_y * across_x[owner]
    # Paint is even across a stroke and follows the picture a little along it.
    pick_x = across * across_x[owner] + 0.35 * along * across_y[owner]
    pick_y = across * across_y[owner] - 0.35 * along * across_x[owner]
    tone = draw.normal(0, 0.6, _NUM_STROKES)[owner]
    hairs = np.sin(across / 1.2 + draw.uniform(0, TURN, _NUM_STROKES)[owner]) * 0.2
    ridge = np.clip(across / (width[owner] / 2), -1, 1) * 0.25
    return (
        (pick_x / _UNIT_PX).astype(np.float32),
        (pick_y / _UNIT_PX).astype(np.float32),
        (tone + hairs + ridge).astype(np.float32),
    )


def _with_margin(size_px: int) -> int:
    return size_px + size_px // 2


def _resized(table: Plane, size_px: int, interpolation: int) -> Float32[np.ndarray, "_ _"]:
    side = _with_margin(size_px)
    return cv2.resize(table, (side, side), interpolation=interpolation)
