"""Room on the reference grid: which objects fit beside and over each other so that all stay visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from chiasm.data.world.geometry import extent, sample
from chiasm.data.world.layout import REFERENCE_PX
from chiasm.data.world.scene import SceneObject

VISIBLE_SHARE = 0.72
"""At least this share of every object is seen."""
BORDER = 0.02
"""Objects keep this distance from the picture's edge, as a share of its side."""

_GAP_PX = 1.5
_EDGE_PX = 4
"""Empty pixels around the reference grid, so that no footprint leaves it."""


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """An object on the reference grid, before others hide it.

    Attributes:
        thing: the object where it was drawn.
        inside: its pixels.
        near: its pixels and those close enough to touch it.
        row, column: where the arrays begin.
        right, down: whole pixels by which the object has been moved since it was drawn.
    """

    thing: SceneObject
    inside: Bool[np.ndarray, "H W"]
    near: Bool[np.ndarray, "H W"]
    row: int
    column: int
    right: int = 0
    down: int = 0

    @property
    def moved(self) -> SceneObject:
        """The object where it is now."""
        x, y = self.thing.x + self.right / REFERENCE_PX, self.thing.y + self.down / REFERENCE_PX
        return replace(self.thing, x=x, y=y)


def footprint(thing: SceneObject) -> Footprint:
    """The footprint of an object that lies inside the picture."""
    left, up, right, down = extent(thing)
    rows = slice(int((thing.y - up) * REFERENCE_PX) - 2, int((thing.y + down) * REFERENCE_PX) + 3)
    columns = slice(int((thing.x - left) * REFERENCE_PX) - 2, int((thing.x + right) * REFERENCE_PX) + 3)
    distance = sample(thing, REFERENCE_PX, rows, columns)
    near = distance > -_GAP_PX / (REFERENCE_PX * thing.diameter)
    return Footprint(thing, distance > 0, near, rows.start, columns.start)


def places(draw: np.random.Generator, thing: SceneObject, num: int) -> Iterator[Footprint]:
    """The object at `num` random places, wholly inside the picture.

    The footprint is computed once: the places differ by whole pixels of the reference grid, from a random start.
    """
    left, up, right, down = extent(thing)
    start_x, start_y, *steps = draw.random(2 + 2 * num).tolist()
    first = replace(thing, x=BORDER + left + start_x / REFERENCE_PX, y=BORDER + up + start_y / REFERENCE_PX)
    free_x = int((1 - BORDER - right - first.x) * REFERENCE_PX) + 1
    free_y = int((1 - BORDER - down - first.y) * REFERENCE_PX) + 1
    mark = footprint(first)
    for across, along in zip(steps[:num], steps[num:], strict=True):
        right, down = int(across * free_x), int(along * free_y)
        yield Footprint(mark.thing, mark.inside, mark.near, mark.row + down, mark.column + right, right, down)


class Room:
    """The reference grid while objects are put on it, back to front."""

    def __init__(self) -> None:
        side = REFERENCE_PX + 2 * _EDGE_PX
        self._top = np.zeros((side, side), np.uint8)
        self._colours: list[str] = []
        self._areas: list[int] = []
        self._visible: list[int] = []

    def add(self, mark: Footprint) -> bool:
        """Put an object in front of all others if everything stays visible; says whether that was possible."""
        row, column = mark.row + _EDGE_PX, mark.column + _EDGE_PX
        height, width = mark.inside.shape
        behind = self._top[row : row + height, column : column + width]
        num = len(self._areas) + 1
        met = np.bincount(behind[mark.near], minlength=num).tolist()[1:]
        if any(met):
            if any(px and colour == mark.thing.colour.name for px, colour in zip(met, self._colours, strict=True)):
                return False
            hidden = np.bincount(behind[mark.inside], minlength=num).tolist()[1:]
            left = [seen - lost for seen, lost in zip(self._visible, hidden, strict=True)]
            if any(seen < VISIBLE_SHARE * area for seen, area in zip(left, self._areas, strict=True)):
                return False
            self._visible = left
        behind[mark.inside] = num
        area = int(np.count_nonzero(mark.inside))
        self._colours.append(mark.thing.colour.name)
        self._areas.append(area)
        self._visible.append(area)
        return True


def is_clear(objects: Sequence[SceneObject]) -> bool:
    """Whether objects, back to front, lie inside the picture and are all sufficiently visible."""
    room = Room()
    return all(_is_inside(thing) and room.add(footprint(thing)) for thing in objects)


def _is_inside(thing: SceneObject) -> bool:
    left, up, right, down = extent(thing)
    start, stop = min(thing.x - left, thing.y - up), max(thing.x + right, thing.y + down)
    return start >= BORDER - 1e-6 and stop <= 1 - BORDER + 1e-6
