"""Words for the objects of a scene: noun phrases, counts, places, and names that fit only one object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from chiasm.data.world.layout import Layout
from chiasm.data.world.scene import SceneObject
from chiasm.data.world.vocabulary import PLACES

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")

_PLACE_MARGIN = 0.035
"""Centroids nearer than this to the border between two places have no place."""


def with_article(phrase: str) -> str:
    """ "a red star", "an orange arrow"."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def full(thing: SceneObject) -> str:
    """Everything about an object: "large striped red star"."""
    return f"{thing.size.name} {thing.pattern.name} {thing.colour.name} {thing.shape.name}"


def counted(num: int, one: str, many: str) -> str:
    """ "a red star", "two red stars"."""
    return with_article(one) if num == 1 else f"{NUMBERS[num]} {many}"


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def by_colour_and_class(things: Iterable[SceneObject]) -> str:
    """ "two red stars and a blue cup"."""
    counts = Counter((thing.colour, thing.shape) for thing in things)
    return listed(
        [
            counted(num, f"{colour.name} {shape.name}", f"{colour.name} {shape.plural}")
            for (colour, shape), num in counts.items()
        ]
    )


def by_class(things: Iterable[SceneObject]) -> str:
    """ "two stars and a cup"."""
    counts = Counter(thing.shape for thing in things)
    return listed([counted(num, shape.name, shape.plural) for shape, num in counts.items()])


def unique_name(objects: Sequence[SceneObject], index: int) -> str | None:
    """The shortest name that fits one object only ("star", "red star", "striped red star"); None if none does."""
    ways = (
        lambda thing: thing.shape.name,
        lambda thing: f"{thing.colour.name} {thing.shape.name}",
        lambda thing: f"{thing.pattern.name} {thing.colour.name} {thing.shape.name}",
    )
    for way in ways:
        name = way(objects[index])
        if sum(way(thing) == name for thing in objects) == 1:
            return name
    return None


def place(measured: Layout, index: int) -> str | None:
    """Which ninth of the picture an object is in ("top left", "middle"); None when it is too near to a border."""
    x, y = measured.centroids[index].tolist()
    if any(abs(share - border) < _PLACE_MARGIN for share in (x, y) for border in (1 / 3, 2 / 3)):
        return None
    return PLACES[3 * int(3 * y) + int(3 * x)]


_AT = {"left": "on the left", "right": "on the right", "middle": "in the middle"}


def at_place(name: str) -> str:
    """A place as an adverb: "at the top left", "on the right", "in the middle"."""
    return _AT.get(name, f"at the {name}")


_TO = {"left": "to the left side", "right": "to the right side"}


def to_place(name: str) -> str:
    """A place as a goal: "to the top left", "to the right side", "to the middle"."""
    return _TO.get(name, f"to the {name}")
