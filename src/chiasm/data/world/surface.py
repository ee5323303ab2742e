"""The colours of an object's surface before light falls on it, and the parts every domain shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from chiasm.data.world.geometry import Patch, own_coordinates, sample, window
from chiasm.data.world.scene import Light, SceneObject

Plane = Float32[np.ndarray, "H W"]
Picture = Float32[np.ndarray, "3 H W"]
"""Colour planes: whole rows lie side by side, which makes the arithmetic of small pictures several times faster."""

DARK_SHARE = 0.26
"""Brightness of dark details relative to the object's colour."""
PALE = (248, 244, 234)
"""Colour of pale details."""


def ink(colour: tuple[float, float, float]) -> Float32[np.ndarray, "3 1 1"]:
    """A colour, ready to be mixed with colour planes."""
    return np.array(colour, np.float32)[:, None, None]


def coverage(distance: Plane) -> Plane:
    """Share of each pixel that lies inside, from the signed distance in pixels."""
    return (distance + np.float32(0.5)).clip(0, 1)


def mixed(picture: Picture, other: Picture | Float32[np.ndarray, "3 1 1"], share: Plane) -> Picture:
    """One picture (or colour) laid over another, pixel by pixel."""
    return picture + (other - picture) * share


def tinted(thing: SceneObject, patch: Patch) -> Picture:
    """An object's colours, RGB 0 to 255: pattern, details and whatever defect changes the surface."""
    base = ink(thing.colour.base)
    second = ink(thing.colour.second)
    tone = thing.pattern.tone(patch.u, patch.v, patch.pixel)
    picture = base + (second - base) * tone
    picture = mixed(picture, base * DARK_SHARE, coverage(patch.dark))
    picture = mixed(picture, ink(PALE), 0.9 * coverage(patch.light))
    if thing.defect is None or thing.defect.kind.removes:
        return picture
    kind = thing.defect.kind
    share = kind.strength * coverage(thing.defect.distance(patch.u, patch.v) / patch.pixel)
    return mixed(picture, ink(kind.inks[thing.defect.ink]), share.astype(np.float32))


def shadow_offset(thing: SceneObject, light: Light) -> tuple[float, float]:
    """How far (x, y) an object's shadow falls, in shares of the picture's side."""
    length = 0.012 + 0.13 * thing.diameter
    return -light.x * length, -light.y * length


def shadow_reach(thing: SceneObject) -> float:
    """No shadow of the object lies further from its outline than this, in shares of the picture's side."""
    return 0.012 + (0.13 + SHADOW_SOFTNESS) * thing.diameter


SHADOW_SOFTNESS = 0.1
"""Distance over which the edge of a shadow fades to either side, in diameters."""


def shadow(thing: SceneObject, light: Light, size_px: int) -> tuple[slice, slice, Plane]:
    """Rows, columns, and how much light the object takes away there: 0 (none) to 1."""
    right, down = shadow_offset(thing, light)
    cast = replace(thing, x=thing.x + right, y=thing.y + down)
    rows, columns = window(cast, size_px, SHADOW_SOFTNESS * thing.diameter)
    distance = sample(cast, size_px, rows, columns)
    if thing.defect is not None and thing.defect.kind.removes:
        distance = np.minimum(distance, -thing.defect.distance(*own_coordinates(cast, size_px, rows, columns)))
    depth = (distance * np.float32(0.5 / SHADOW_SOFTNESS) + np.float32(0.5)).clip(0, 1)
    return rows, columns, depth * depth * (3 - 2 * depth)
