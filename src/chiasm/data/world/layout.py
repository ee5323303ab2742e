"""How the objects of a scene lie to each other: who hides whom, who is left of whom, who is bigger.

Relations are measured on one coarse reference grid, so they do not depend on the size of a picture; only clear ones
count (see the margins), so they hold on any grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from chiasm.data.world.geometry import Cover, covered
from chiasm.data.world.scene import SceneObject

REFERENCE_PX = 64
"""Side of the grid on which visibility and relations are measured."""
BESIDE_MARGIN = 0.14
"""Left of, above ...: centroids differ by at least this share of the picture's side."""
BIGGER_RATIO = 1.4
"""Bigger than: visible area and size both say so, the area by at least this factor."""
HIDDEN_SHARE = 0.04
"""In front of: hides at least this share of the other object."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Object `subject` is `name` object `other`; both are indices into the scene's objects."""

    subject: int
    name: str
    other: int


class Layout:
    """Measurements of a scene on the reference grid.

    Args:
        objects: the scene's objects, back to front.
    """

    def __init__(self, objects: Sequence[SceneObject]) -> None:
        self._objects = tuple(objects)

    @cached_property
    def _covers(self) -> tuple[Cover, ...]:
        return tuple(covered(thing, REFERENCE_PX) for thing in self._objects)

    @cached_property
    def top(self) -> UInt8[np.ndarray, "H W"]:
        """Index + 1 of the object seen at each reference pixel."""
        top = np.zeros((REFERENCE_PX, REFERENCE_PX), np.uint8)
        for index, (rows, columns, inside) in enumerate(self._covers):
            top[rows, columns][inside] = index + 1
        return top

    @cached_property
    def areas(self) -> Int[np.ndarray, " M"]:
        """Pixels each object would show with nothing in front."""
        return np.array([np.count_nonzero(inside) for _, _, inside in self._covers], np.int64)

    @cached_property
    def visible(self) -> Int[np.ndarray, " M"]:
        """Pixels each object does show."""
        return np.bincount(self.top.ravel(), minlength=len(self._objects) + 1)[1:]

    @cached_property
    def centroids(self) -> Float[np.ndarray, "M 2"]:
        """Middle (x, y) of each object's visible pixels, as shares of the picture's side."""
        flat = self.top.ravel()
        row, column = np.divmod(np.arange(flat.size), REFERENCE_PX)
        num = len(self._objects) + 1
        sums = [np.bincount(flat, weights=axis, minlength=num)[1:] for axis in (column, row)]
        return (np.stack(sums, axis=1) / self.visible[:, None] + 0.5) / REFERENCE_PX

    def hidden(self, front: int, back: int) -> int:
        """Pixels of object `back` that lie under object `front`, whether or not others lie there too."""
        if front <= back:
            return 0
        return _shared(self._covers[front], self._covers[back])

    @property
    def main(self) -> int:
        """Index of the object that shows most (of equals, the one furthest in front)."""
        return len(self._objects) - 1 - int(np.argmax(self.visible[::-1]))

    @cached_property
    def relations(self) -> tuple[Relation, ...]:
        """Every clear relation between two objects."""
        pairs = itertools.permutations(range(len(self._objects)), 2)
        return tuple(relation for pair in pairs for relation in self._between(*pair))

    def _between(self, subject: int, other: int) -> Iterator[Relation]:
        right, down = self.centroids[other] - self.centroids[subject]
        if right >= BESIDE_MARGIN:
            yield Relation(subject, "left of", other)
        if right <= -BESIDE_MARGIN:
            yield Relation(subject, "right of", other)
        if down >= BESIDE_MARGIN:
            yield Relation(subject, "above", other)
        if down <= -BESIDE_MARGIN:
            yield Relation(subject, "below", other)
        if self.bigger(subject, other):
            yield Relation(subject, "bigger than", other)
        if self.bigger(other, subject):
            yield Relation(subject, "smaller than", other)
        if self.hidden(subject, other) >= HIDDEN_SHARE * self.areas[other]:
            yield Relation(subject, "in front of", other)
        if self.hidden(other, subject) >= HIDDEN_SHARE * self.areas[subject]:
            yield Relation(subject, "behind", other)

    def bigger(self, subject: int, other: int) -> bool:
        """Whether one object is clearly bigger than another, by its size and by what is seen of it."""
        by_size = self._objects[subject].size.diameter > self._objects[other].size.diameter
        return by_size and bool(self.visible[subject] >= BIGGER_RATIO * self.visible[other])


def _shared(one: Cover, other: Cover) -> int:
    """Pixels that both cover."""
    rows, columns = _common(one.rows, other.rows), _common(one.columns, other.columns)
    return int(np.count_nonzero(_part(one, rows, columns) & _part(other, rows, columns)))


def _common(one: slice, other: slice) -> slice:
    start = max(one.start, other.start)
    return slice(start, max(start, min(one.stop, other.stop)))


def _part(cover: Cover, rows: slice, columns: slice) -> Bool[np.ndarray, "H W"]:
    """Of a cover, in rows and columns of the whole grid that lie within it."""
    top, left = cover.rows.start, cover.columns.start
    return cover.inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
