"""Where the objects of a scene lie on a pixel grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from chiasm.data.world.curves import TURN
from chiasm.data.world.scene import SceneObject
from chiasm.data.world.shapes import GRID_PX, GRID_SPAN, SUPPORT_STEPS, fields, support

Plane = Float32[np.ndarray, "H W"]


@dataclass(frozen=True, slots=True)
class Patch:
    """The part of a pixel grid around one object.

    Attributes:
        rows, columns: where it is.
        distance: signed distance to the outline in pixels, positive inside (what is missing counts as outside).
        dark, light: the same for the dark and pale details.
        u, v: the object's own coordinates, in diameters from its middle, at pixel centres.
        pixel: width of a pixel in diameters.
    """

    rows: slice
    columns: slice
    distance: Plane
    dark: Plane
    light: Plane
    u: Plane
    v: Plane
    pixel: float


def extent(thing: SceneObject) -> tuple[float, float, float, float]:
    """How far an object reaches left, up, right and down from its middle, as shares of the picture's side."""
    reach = support(thing.shape)
    turn, quarter = round(thing.angle * SUPPORT_STEPS), SUPPORT_STEPS // 4
    # Directions of the picture as the object sees them: turned back, then mirrored.
    own = [direction - turn for direction in (2 * quarter, 3 * quarter, 0, quarter)]
    if thing.flipped:
        own = [2 * quarter - direction for direction in own]
    left, up, right, down = (reach[direction % SUPPORT_STEPS] * thing.diameter for direction in own)
    return left, up, right, down


def window(thing: SceneObject, size_px: int, reach: float) -> tuple[slice, slice]:
    """Rows and columns that hold an object and `reach` (share of the picture's side) around it."""
    left, up, right, down = extent(thing)
    rows = _span((thing.y - up - reach) * size_px, (thing.y + down + reach) * size_px, size_px)
    return rows, _span((thing.x - left - reach) * size_px, (thing.x + right + reach) * size_px, size_px)


def sample(thing: SceneObject, size_px: int, rows: slice, columns: slice) -> Plane:
    """Signed distance to the object's outline, in diameters, at pixel centres of part of a grid."""
    return _warped(fields(thing.shape, _grid_px(thing, size_px)).outline, thing, size_px, rows, columns)


def patch(thing: SceneObject, size_px: int, reach: float = 0.0) -> Patch:
    """An object on a pixel grid.

    Args:
        size_px: side of the grid.
        reach: how far around the object the patch extends, as a share of the picture's side.
    """
    rows, columns = window(thing, size_px, reach)
    u, v = own_coordinates(thing, size_px, rows, columns)
    layers = _warped(fields(thing.shape, _grid_px(thing, size_px)).layers, thing, size_px, rows, columns)
    layers *= np.float32(thing.diameter * size_px)
    outline, dark, light = cv2.split(layers)
    if thing.defect is not None and thing.defect.kind.removes:
        outline = np.minimum(outline, thing.defect.distance(u, v) * np.float32(-thing.diameter * size_px))
    return Patch(
        rows=rows,
        columns=columns,
        distance=outline,
        dark=dark,
        light=light,
        u=u,
        v=v,
        pixel=1 / (thing.diameter * size_px),
    )


def own_coordinates(thing: SceneObject, size_px: int, rows: slice, columns: slice) -> tuple[Plane, Plane]:
    """The object's coordinates (u right, v down, in diameters) at pixel centres of part of a grid."""
    inverse = _to_own(thing).astype(np.float32)
    x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / size_px - np.float32(thing.x)
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / size_px - np.float32(thing.y)
    u = inverse[0, 0] * x[None, :] + inverse[0, 1] * y[:, None]
    v = inverse[1, 0] * x[None, :] + inverse[1, 1] * y[:, None]
    return u, v


class Cover(NamedTuple):
    """Rows, columns and the pixels in them that belong to an object, were nothing in front of it."""

    rows: slice
    columns: slice
    inside: Bool[np.ndarray, "H W"]


def covered(thing: SceneObject, size_px: int) -> Cover:
    """What an object covers of a grid."""
    rows, columns = window(thing, size_px, 0.0)
    inside = sample(thing, size_px, rows, columns) > 0
    if thing.defect is not None and thing.defect.kind.removes:
        inside &= thing.defect.distance(*own_coordinates(thing, size_px, rows, columns)) <= 0
    return Cover(rows, columns, inside)


def topmost(objects: Sequence[SceneObject], size_px: int) -> UInt8[np.ndarray, "H W"]:
    """Index + 1 of the object seen at each pixel, 0 where the background is."""
    top = np.zeros((size_px, size_px), np.uint8)
    for index, thing in enumerate(objects):
        rows, columns, inside = covered(thing, size_px)
        top[rows, columns][inside] = index + 1
    return top


def flawed(objects: Sequence[SceneObject], size_px: int) -> Bool[np.ndarray, "H W"]:
    """Pixels at which a defect is seen: changed surface, or what shows where a part is missing."""
    intact = [replace(thing, defect=None) for thing in objects]
    top = topmost(intact, size_px)
    mask = np.zeros((size_px, size_px), bool)
    for index, thing in enumerate(objects):
        if thing.defect is not None:
            rows, columns = window(thing, size_px, 0.0)
            inside = thing.defect.distance(*own_coordinates(thing, size_px, rows, columns)) > 0
            mask[rows, columns] |= inside & (top[rows, columns] == index + 1)
    return mask


def _to_own(thing: SceneObject) -> np.ndarray:
    """Matrix from shares of the picture's side to the object's own coordinates."""
    cosine, sine = np.cos(thing.angle * TURN), np.sin(thing.angle * TURN)
    flip = -1.0 if thing.flipped else 1.0
    return np.array([[flip * cosine, flip * sine], [-sine, cosine]]) / thing.diameter


def _span(start_px: float, stop_px: float, size_px: int) -> slice:
    """Whole pixels around a stretch, with two to spare, inside the grid."""
    return slice(min(max(int(start_px) - 2, 0), size_px - 1), max(min(int(stop_px) + 3, size_px), 1))


def _grid_px(thing: SceneObject, size_px: int) -> int:
    """Side of the coarsest distance fields that are about as fine as the picture."""
    needed_px = GRID_SPAN * thing.diameter * size_px
    grid_px = GRID_PX // 4
    while grid_px < needed_px and grid_px < GRID_PX:
        grid_px *= 2
    return grid_px


def _warped(field: np.ndarray, thing: SceneObject, size_px: int, rows: slice, columns: slice) -> np.ndarray:
    """A field of an object's shape, read at pixel centres of part of a grid."""
    grid_px = field.shape[0]
    inverse = _to_own(thing) * (grid_px / GRID_SPAN)
    start = np.array([(columns.start + 0.5) / size_px - thing.x, (rows.start + 0.5) / size_px - thing.y])
    offset = inverse @ start + (grid_px / 2 - 0.5)
    matrix = np.concatenate([inverse / size_px, offset[:, None]], axis=1)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(field, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
