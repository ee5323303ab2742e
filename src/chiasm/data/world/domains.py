"""The four domains: one scene as a photo, a pencil sketch, a painting, or at night.

A domain changes how things look, never where they are: the truth of a scene is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float32

from chiasm.core.errors import UnknownNameError
from chiasm.data.world import backgrounds, tables
from chiasm.data.world.geometry import Patch
from chiasm.data.world.scene import Light, Scene, SceneObject
from chiasm.data.world.surface import Picture, coverage, ink, mixed, tinted

Plane = Float32[np.ndarray, "H W"]


@dataclass(frozen=True, slots=True)
class Domain:
    """A way of depicting scenes.

    Attributes:
        name: one word.
        noun: as in captions ("a photo of ...").
        request: as in edits ("turn it into a pencil sketch").
        shade: how dark shadows are, 0 to 1.
        ground: draws the background of a scene at a size, RGB 0 to 255.
        paint: an object's colours and coverage on its patch, RGB 0 to 255 and 0 to 1.
        finish: what happens to the whole picture in the end.
    """

    name: str
    noun: str
    request: str
    shade: float = field(compare=False, repr=False)
    ground: Callable[[Scene, int], Picture] = field(compare=False, repr=False)
    paint: Callable[[SceneObject, Patch, Light, int], tuple[Picture, Plane]] = field(compare=False, repr=False)
    finish: Callable[[Picture, Scene], Picture] = field(compare=False, repr=False)


def domain(name: str) -> Domain:
    """The domain of that name.

    Raises:
        UnknownNameError: there is none.
    """
    for known in DOMAINS:
        if known.name == name:
            return known
    raise UnknownNameError("domain", name, [known.name for known in DOMAINS])


def _photo_ground(scene: Scene, size_px: int) -> Picture:
    return backgrounds.picture(scene.ground, size_px)


def _photo_paint(thing: SceneObject, patch: Patch, light: Light, size_px: int) -> tuple[Picture, Plane]:
    return tinted(thing, patch) * _relief(thing, patch, light, 0.42), coverage(patch.distance)


def _relief(thing: SceneObject, patch: Patch, light: Light, depth: float) -> Plane:
    """Brightness of a slightly domed surface: brighter towards the light, with a bevelled rim."""
    distance = patch.distance
    slope = np.zeros_like(distance)
    slope[:, 1:-1] += (distance[:, 2:] - distance[:, :-2]) * np.float32(light.x / 2)
    slope[1:-1] += (distance[2:] - distance[:-2]) * np.float32(light.y / 2)
    rim = (1 - distance * np.float32(patch.pixel / 0.13)).clip(0, 1)
    # Back from the object's own axes to the picture's: how far towards the light a point lies.
    cosine, sine = np.cos(thing.angle * 2 * np.pi), np.sin(thing.angle * 2 * np.pi)
    across = (light.x * cosine + light.y * sine) * (-1 if thing.flipped else 1)
    along = light.y * cosine - light.x * sine
    dome = patch.u * np.float32(across) + patch.v * np.float32(along)
    return 1 - np.float32(depth) * rim * slope + np.float32(0.5 * depth) * dome


def _photo_finish(canvas: Picture, scene: Scene) -> Picture:
    size_px = canvas.shape[-1]
    at, light = tables.coordinates(size_px), scene.light
    gain = 1.04 + np.float32(light.slope * light.x) * at.x + np.float32(light.slope * light.y) * at.y
    gain -= np.float32(0.22) * at.squared
    tint = ink((1 + 0.05 * light.warmth, 1, 1 - 0.06 * light.warmth))
    return canvas * gain * tint + 2.4 * tables.noise(scene.grain, size_px)


def _night_finish(canvas: Picture, scene: Scene) -> Picture:
    size_px = canvas.shape[-1]
    at, light = tables.coordinates(size_px), scene.light
    squared = (at.x + np.float32(0.5 - light.lamp_x)) ** 2 + (at.y + np.float32(0.5 - light.lamp_y)) ** 2
    pool = np.exp(squared * np.float32(-1 / 0.2))
    lamp = pool * ink((0.56, 0.48, 0.34))
    dark = canvas * (lamp + ink((0.35, 0.38, 0.48))) + ink((2, 4, 12))
    glow = np.exp(squared * np.float32(-1 / 0.004)) * ink((80, 68, 40))
    return dark + glow + 3.6 * tables.noise(scene.grain, size_px)


PAPER = ink((246, 242, 232))
GRAPHITE = ink((58, 56, 60))


def _sketch_ground(scene: Scene, size_px: int) -> Picture:
    ground = backgrounds.picture(scene.ground, size_px)
    # Pressed lightly: a third of the colour, deepened where the hatching runs.
    hatch = 0.3 + 0.22 * _hatching(size_px, slice(0, size_px), slice(0, size_px), 26.0, -0.62)
    return PAPER + (ground - PAPER) * hatch


def _sketch_paint(thing: SceneObject, patch: Patch, light: Light, size_px: int) -> tuple[Picture, Plane]:
    hatch = _hatching(size_px, patch.rows, patch.columns, 30.0, 0.85)
    shade = _relief(thing, patch, light, 0.5)
    pressure = (1.35 + 0.2 * hatch - 0.55 * shade).clip(0.35, 1)
    picture = PAPER + (tinted(thing, patch) - PAPER) * pressure
    width_px = max(0.6, 0.0068 * size_px)
    # A hand is never quite steady: the line wanders by a fraction of its width.
    wander = np.sin(patch.u * 9 + 7 * thing.x) * np.sin(patch.v * 8 + 5 * thing.y) * np.float32(0.35 * width_px)
    # It runs a little outside, so that small objects keep their colour.
    outline = coverage(width_px - np.abs(patch.distance + wander + np.float32(0.5 * width_px)))
    for detail in (patch.dark, patch.light):
        np.maximum(outline, 0.7 * coverage(0.7 * width_px - np.abs(detail)), out=outline)
    return mixed(picture, GRAPHITE, 0.85 * outline), coverage(patch.distance + np.float32(1.7 * width_px))


def _sketch_finish(canvas: Picture, scene: Scene) -> Picture:
    tooth = tables.paper(scene.grain, canvas.shape[-1])
    # The pencil skips the hollows of the paper, so dark places show its tooth most.
    dark = 255 - _brightness(canvas)
    return canvas + tooth * (2.0 + 0.07 * dark)


def _hatching(size_px: int, rows: slice, columns: slice, lines: float, slant: float) -> Plane:
    """Parallel pencil strokes, -1 to 1, fading out where the grid is too coarse for them."""
    at = tables.coordinates(size_px)
    x, y = at.x[rows, columns], at.y[rows, columns]
    across = np.float32(np.cos(slant)) * x + np.float32(np.sin(slant)) * y
    along = np.float32(np.cos(slant)) * y - np.float32(np.sin(slant)) * x
    strength = np.float32(np.clip((size_px / lines - 1.6) / 2, 0.15, 1))
    return strength * np.sin(np.float32(2 * np.pi * lines) * across + 1.2 * np.sin(17 * along))


def _painting_ground(scene: Scene, size_px: int) -> Picture:
    return _brushed(_saturated(backgrounds.picture(scene.ground, size_px), 1.45), scene.grain, 1.0)


def _painting_paint(thing: SceneObject, patch: Patch, light: Light, size_px: int) -> tuple[Picture, Plane]:
    picture = _saturated(tinted(thing, patch), 1.25) * _relief(thing, patch, light, 0.34)
    width_px = np.float32(0.012 * size_px)
    rim = coverage(width_px - np.abs(patch.distance))
    return mixed(picture, picture * 0.62, 0.75 * rim), coverage(patch.distance)


def _painting_finish(canvas: Picture, scene: Scene) -> Picture:
    size_px = canvas.shape[-1]
    # Smaller strokes than on the ground, so that objects keep their outlines and patterns.
    painted = _brushed(canvas, scene.grain, 0.45)
    at, light = tables.coordinates(size_px), scene.light
    gain = 1 + np.float32(1.2 * light.slope * light.x) * at.x + np.float32(1.2 * light.slope * light.y) * at.y
    return painted * (gain + 0.06 * tables.strokes(scene.grain, size_px).bristle)


def _brushed(picture: Picture, grain: int, spread: float) -> Picture:
    """The picture in brush strokes whose paint is picked up near their middle; `spread` 1: exactly there."""
    size_px = picture.shape[-1]
    strokes = tables.strokes(grain, size_px)
    start = np.arange(size_px, dtype=np.float32)
    x, y = strokes.x * np.float32(spread) + start[None, :], strokes.y * np.float32(spread) + start[:, None]
    planes = [cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for plane in picture]
    return np.stack(planes)


def _saturated(picture: Picture, factor: float) -> Picture:
    grey = _brightness(picture)
    return grey + (picture - grey) * np.float32(factor)


def _brightness(picture: Picture) -> Plane:
    red, green, blue = picture
    return np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue


PHOTO = Domain("photo", "a photo", "turn it into a photo by day", 0.5, _photo_ground, _photo_paint, _photo_finish)
SKETCH = Domain(
    "sketch", "a pencil sketch", "turn it into a pencil sketch", 0.22, _sketch_ground, _sketch_paint, _sketch_finish
)
PAINTING = Domain(
    "painting", "a painting", "turn it into a painting", 0.45, _painting_ground, _painting_paint, _painting_finish
)
NIGHT = Domain("night", "a photo at night", "make it night", 0.6, _photo_ground, _photo_paint, _night_finish)

DOMAINS: tuple[Domain, ...] = (PHOTO, SKETCH, PAINTING, NIGHT)
"""Every domain; the position in this tuple is the domain index."""
