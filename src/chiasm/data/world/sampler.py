"""Draws scenes: (seed, split, index) in, `Scene` out.

What is said about a scene must be visible in it. Objects lie inside the picture, no object is hidden by more than a
small share, objects of one colour never touch, and no colour is set against a background of nearly the same tint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chiasm.core.seeds import stream
from chiasm.data.world.backgrounds import BACKGROUNDS, PLAIN, Background, Ground
from chiasm.data.world.chance import pick
from chiasm.data.world.curves import TURN
from chiasm.data.world.defects import DEFECTS, Defect, DefectKind
from chiasm.data.world.geometry import extent, flawed, topmost
from chiasm.data.world.layout import REFERENCE_PX
from chiasm.data.world.patterns import PATTERNS
from chiasm.data.world.room import BORDER, Room, places
from chiasm.data.world.scene import Light, Scene, SceneObject
from chiasm.data.world.shapes import SHAPES
from chiasm.data.world.splits import Split, colours_of, shapes_of
from chiasm.data.world.vocabulary import SIZE_JITTER, SIZES, Colour

_TRIES = 10
_REPEAT_SHAPE = 0.22
_REPEAT_COLOUR = 0.18
_DEFECT_TRIES = 60
_MIN_DEFECT_PX = 7
_MIN_DEFECT_SHARE = 0.035
_MIN_REMAINS = 0.65
_INK_CONTRAST = 60
_CLOSE_SHARE = (0.66, 0.92)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many objects a scene has."""

    min_objects: int
    max_objects: int


def stands_out(scene: Scene) -> bool:
    """Whether no object has a colour close to the background's."""
    return not any(thing.colour.name in scene.ground.kind.clashes for thing in scene.objects)


def draw_scene(seed: int, split: Split, index: int, limits: Limits) -> Scene:
    """The scene of one picture.

    Args:
        seed: at least 0.
        index: number of the picture within the split.
    """
    draw = stream(seed, "world", split.name, index)
    while True:
        objects = _draw_objects(draw, split, int(draw.integers(limits.min_objects, limits.max_objects + 1)))
        # Now and then a crowd finds no room for the last object; a smaller crowd is fine unless it is too small.
        if len(objects) >= limits.min_objects:
            break
    return Scene(objects, draw_ground(draw, objects), _draw_light(draw), int(draw.integers(2**16)))


def draw_object(draw: np.random.Generator, split: Split, others: Sequence[SceneObject] = ()) -> SceneObject:
    """An object for a split, not yet in its place; it sometimes repeats the class or the colour of another."""
    if others and draw.random() < _REPEAT_SHAPE:
        shape = pick(draw, others).shape
    elif others and draw.random() < _REPEAT_COLOUR:
        shape = pick(draw, shapes_of(pick(draw, others).colour, split.novel))
    else:
        shape = pick(draw, SHAPES)
    size = pick(draw, SIZES)
    jitter, angle = draw.uniform(-1, 1, 2).tolist()
    return SceneObject(
        shape=shape,
        colour=pick(draw, colours_of(shape, split.novel)),
        pattern=pick(draw, PATTERNS),
        size=size,
        x=0.5,
        y=0.5,
        diameter=size.diameter * (1 + SIZE_JITTER * jitter),
        angle=shape.tilt * angle,
        flipped=bool(draw.integers(2)),
    )


def draw_ground(draw: np.random.Generator, objects: Sequence[SceneObject]) -> Ground:
    """A background against which all the objects stand out."""
    colours = {thing.colour.name for thing in objects}
    kinds = [kind for kind in BACKGROUNDS if not colours.intersection(kind.clashes)]
    return _ground(draw, pick(draw, kinds))


def _ground(draw: np.random.Generator, kind: Background) -> Ground:
    x, y, zoom = draw.random(3).tolist()
    return Ground(kind, int(draw.integers(len(kind.ramps))), x, y, 0.7 + 0.4 * zoom)


def close_up(draw: np.random.Generator, scene: Scene) -> Scene:
    """The scene with the camera close to its first object, which then fills most of the picture, before a wall."""
    thing = scene.objects[0]
    left, up, right, down = extent(thing)
    share, right_by, down_by = draw.random(3).tolist()
    filled = _CLOSE_SHARE[0] + (_CLOSE_SHARE[1] - _CLOSE_SHARE[0]) * share
    scale = filled / max(left + right, up + down)
    free_x, free_y = (1 - 2 * BORDER - scale * width for width in (left + right, up + down))
    near = replace(
        thing,
        size=SIZES[-1],
        diameter=scale * thing.diameter,
        x=BORDER + scale * left + right_by * free_x,
        y=BORDER + scale * up + down_by * free_y,
    )
    return replace(scene, objects=(near,), ground=_ground(draw, PLAIN))


def draw_defect(draw: np.random.Generator, scene: Scene) -> Scene:
    """The scene with a defect on one of its objects, in a place where it can be seen."""
    while True:
        # The kind is kept for a while, so that kinds which need a good place are not rarer than others.
        kind = pick(draw, DEFECTS)
        for _ in range(_DEFECT_TRIES):
            index = int(draw.integers(len(scene.objects)))
            objects = list(scene.objects)
            objects[index] = replace(objects[index], defect=_any_defect(draw, kind, objects[index]))
            if _shows(scene.objects, objects, index):
                return replace(scene, objects=tuple(objects))


def inks_for(kind: DefectKind, colour: Colour) -> list[int]:
    """Which of a defect's colours differ enough from both tones of an object's colour."""
    tones = np.array((colour.base, colour.second))
    return [k for k, ink in enumerate(kind.inks) if np.abs(tones - ink).max(axis=1).min() >= _INK_CONTRAST]


def _any_defect(draw: np.random.Generator, kind: DefectKind, thing: SceneObject) -> Defect:
    """A defect somewhere around the middle of an object, of a colour unlike the object's."""
    u, v = draw.uniform(-0.55, 0.55, 2).tolist()
    angle, length, first, second = draw.random(4).tolist()
    return Defect(
        kind=kind,
        u=u,
        v=v,
        angle=angle,
        extent=kind.extent[0] + (kind.extent[1] - kind.extent[0]) * length,
        wobble=(first, second),
        ink=pick(draw, inks_for(kind, thing.colour)),
    )


def _shows(before: Sequence[SceneObject], after: Sequence[SceneObject], index: int) -> bool:
    """Whether a defect can be seen and leaves most of its object."""
    seen_before = np.count_nonzero(topmost(before, REFERENCE_PX) == index + 1)
    seen_after = np.count_nonzero(topmost(after, REFERENCE_PX) == index + 1)
    flaw = np.count_nonzero(flawed(after, REFERENCE_PX))
    return bool(
        flaw >= max(_MIN_DEFECT_PX, _MIN_DEFECT_SHARE * seen_before) and seen_after >= _MIN_REMAINS * seen_before
    )


def _draw_objects(draw: np.random.Generator, split: Split, num_objects: int) -> tuple[SceneObject, ...]:
    room, objects = Room(), []
    for _ in range(num_objects):
        thing = _put(draw, room, draw_object(draw, split, objects))
        if thing is not None:
            objects.append(thing)
    return tuple(objects)


def _put(draw: np.random.Generator, room: Room, thing: SceneObject) -> SceneObject | None:
    """The object in a free place, made smaller if need be; None when the room is full."""
    for size in reversed(SIZES[: SIZES.index(thing.size) + 1]):
        sized = replace(thing, size=size, diameter=thing.diameter * size.diameter / thing.size.diameter)
        for mark in places(draw, sized, _TRIES):
            if room.add(mark):
                return mark.moved
    return None


def _draw_light(draw: np.random.Generator) -> Light:
    direction, slope, warmth, lamp_x, lamp_y = draw.random(5).tolist()
    # The light comes from above, at most 70 degrees to either side.
    angle = TURN * (0.75 + (direction - 0.5) * 140 / 360)
    return Light(
        x=float(np.cos(angle)),
        y=float(np.sin(angle)),
        slope=0.12 + 0.38 * slope,
        warmth=2 * warmth - 1,
        lamp_x=0.25 + 0.5 * lamp_x,
        lamp_y=0.15 + 0.4 * lamp_y,
    )
