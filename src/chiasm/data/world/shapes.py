"""The object classes of the world, and their distance fields.

A shape is drawn once, as signed distances to its outline and to its details, on a fixed fine grid. From these fields
follow, at any size and rotation, its antialiased coverage, its outline, its relief and its soft shadow.

Shapes are scaled to equal area: that of a disc with diameter 1 (slender ones a little less, so that they fit a
picture). The size of an object is the diameter of that disc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from chiasm.data.world import forms_pictorial as pictorial
from chiasm.data.world import forms_plain as plain
from chiasm.data.world.curves import TURN, Form, Loop

GRID_PX = 256
"""Side of the finest distance fields."""
GRID_SPAN = 2.2
"""Side of a distance field in diameters; the shape lies in its middle."""
SUPPORT_STEPS = 720
_MAX_REACH = 0.85
_DRAWN_PX = 4 * GRID_PX
_SHIFT = 6


@dataclass(frozen=True, slots=True)
class Shape:
    """An object class.

    Attributes:
        name, plural: as in captions.
        tilt: how far an object may be rotated from upright, as a share of a full turn to either side.
        form: draws the outline.
    """

    name: str
    plural: str
    tilt: float
    form: Callable[[], Form] = field(compare=False, repr=False)


FREE = 0.5
LEANING = 0.09

SHAPES: tuple[Shape, ...] = (
    Shape("circle", "circles", FREE, plain.circle),
    Shape("square", "squares", FREE, plain.square),
    Shape("triangle", "triangles", FREE, plain.triangle),
    Shape("pentagon", "pentagons", FREE, plain.pentagon),
    Shape("hexagon", "hexagons", FREE, plain.hexagon),
    Shape("star", "stars", FREE, plain.star),
    Shape("ring", "rings", FREE, plain.ring),
    Shape("cross", "crosses", FREE, plain.cross),
    Shape("crescent", "crescents", FREE, plain.crescent),
    Shape("heart", "hearts", LEANING, plain.heart),
    Shape("diamond", "diamonds", FREE, plain.diamond),
    Shape("arrow", "arrows", FREE, plain.arrow),
    Shape("house", "houses", LEANING, pictorial.house),
    Shape("tree", "trees", LEANING, pictorial.tree),
    Shape("car", "cars", LEANING, pictorial.car),
    Shape("fish", "fish", LEANING, pictorial.fish),
    Shape("cup", "cups", LEANING, pictorial.cup),
    Shape("key", "keys", FREE, pictorial.key),
    Shape("leaf", "leaves", FREE, pictorial.leaf),
    Shape("bird", "birds", LEANING, pictorial.bird),
    Shape("boat", "boats", LEANING, pictorial.boat),
    Shape("mushroom", "mushrooms", LEANING, pictorial.mushroom),
    Shape("umbrella", "umbrellas", LEANING, pictorial.umbrella),
    Shape("flower", "flowers", FREE, pictorial.flower),
    Shape("bottle", "bottles", FREE, pictorial.bottle),
    Shape("bell", "bells", LEANING, pictorial.bell),
    Shape("cloud", "clouds", LEANING, pictorial.cloud),
    Shape("hand", "hands", FREE, pictorial.hand),
    Shape("apple", "apples", LEANING, pictorial.apple),
    Shape("rocket", "rockets", FREE, pictorial.rocket),
)
"""Every object class; the position in this tuple is the class index."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Signed distances of a shape in diameters, positive inside, on a square grid of side `GRID_SPAN` diameters.

    Attributes:
        outline: to the silhouette.
        layers: to the silhouette, to the dark details and to the pale details.
    """

    outline: Float32[np.ndarray, "H W"]
    layers: Float32[np.ndarray, "H W 3"]


@cache
def fields(shape: Shape, grid_px: int = GRID_PX) -> Fields:
    """The distance fields of a shape.

    Args:
        grid_px: side of the grid; `GRID_PX` divided by a power of two.
    """
    if grid_px < GRID_PX:
        fine = fields(shape, GRID_PX)
        return Fields(_shrunk(fine.outline, grid_px), _shrunk(fine.layers, grid_px))
    form, scale, centre = _fitted(shape)
    silhouette = _fill(form.body, scale, centre)
    silhouette[_fill(form.holes, scale, centre) > 0] = 0
    outline = _distance(silhouette)
    details = [_distance(_fill(loops, scale, centre)) for loops in (form.dark, form.light)]
    return Fields(outline, cv2.merge([outline, *details]))


@cache
def support(shape: Shape) -> tuple[float, ...]:
    """How far a shape reaches from its centre, in diameters, in `SUPPORT_STEPS` directions clockwise from the right."""
    form, scale, centre = _fitted(shape)
    points = (np.concatenate(form.body) - centre) * scale
    angle = np.arange(SUPPORT_STEPS) / SUPPORT_STEPS * TURN
    return tuple((points @ np.stack([np.cos(angle), np.sin(angle)])).max(axis=0).tolist())


@cache
def _fitted(shape: Shape) -> tuple[Form, float, np.ndarray]:
    """The form, the factor that gives it its area, and its middle in its own coordinates."""
    form = shape.form()
    points = np.concatenate(form.body)
    (x, y), radius = cv2.minEnclosingCircle(points.astype(np.float32))
    centre = np.array([x, y])
    silhouette = _fill(form.body, 1 / radius, centre)
    silhouette[_fill(form.holes, 1 / radius, centre) > 0] = 0
    area = silhouette.mean() / 255 * GRID_SPAN**2
    return form, min(np.sqrt(np.pi / 4 / area), _MAX_REACH) / radius, centre


def _fill(loops: tuple[Loop, ...], scale: float, centre: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    canvas = np.zeros((_DRAWN_PX, _DRAWN_PX), np.uint8)
    px_per_unit = _DRAWN_PX / GRID_SPAN
    for loop in loops:
        points = (loop - centre) * scale * px_per_unit + _DRAWN_PX / 2 - 0.5
        cv2.fillPoly(canvas, [np.round(points * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_8, _SHIFT)
    return canvas


def _distance(layer: UInt8[np.ndarray, "H W"]) -> Float32[np.ndarray, "_ _"]:
    """Signed distance in diameters on the coarser grid; far outside everywhere when the layer is empty."""
    if not layer.any():
        return np.full((GRID_PX, GRID_PX), -GRID_SPAN, np.float32)
    inside = cv2.distanceTransform(layer, cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = cv2.distanceTransform(255 - layer, cv2.DIST_L2, cv2.DIST_MASK_5)
    signed = (inside - outside) * np.float32(GRID_SPAN / _DRAWN_PX)
    return cv2.resize(signed, (GRID_PX, GRID_PX), interpolation=cv2.INTER_AREA)


def _shrunk(field: np.ndarray, grid_px: int) -> np.ndarray:
    return cv2.resize(field, (grid_px, grid_px), interpolation=cv2.INTER_AREA)
