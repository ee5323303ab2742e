"""Objects that a text names, held against a scene: whether each is there, in the colour that it is given.

Paper: Rohrbach et al., "Object Hallucination in Image Captioning", 2018, arXiv 1809.02156, section 2.1: the share of
named objects that are not there is CHAIRi.
Differs: an object that is there in another colour than it is said to have counts as not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chiasm.data.world.patterns import PATTERNS
from chiasm.data.world.scene import Scene
from chiasm.data.world.shapes import SHAPES
from chiasm.data.world.vocabulary import COLOURS, SIZES

_SHAPES = {word: shape.name for shape in SHAPES for word in (shape.name, shape.plural)}
_COLOURS = {colour.name for colour in COLOURS}
_ADJECTIVES = _COLOURS | {pattern.name for pattern in PATTERNS} | {size.name for size in SIZES}


def check(scene: Scene, text: str) -> tuple[bool, ...]:
    """Whether each object that a text names is in a scene; one entry for each time that one is named."""
    there = {(thing.shape.name, thing.colour.name) for thing in scene.objects}
    shapes = {shape for shape, _ in there}
    return tuple(
        shape in shapes if colour is None else (shape, colour) in there for shape, colour in mentions(text.lower())
    )


def mentions(text: str) -> Iterator[tuple[str, str | None]]:
    """Classes that a text names, each with the colour that it is given: "a red star", "a star, red and dotted"."""
    words = re.findall(r"[a-z]+|,", text)
    for place, word in enumerate(words):
        if word in _SHAPES:
            yield _SHAPES[word], _before(words[:place]) or _after(words[place + 1 :])


def _before(words: list[str]) -> str | None:
    """The colour among the adjectives that end some words."""
    for word in reversed(words):
        if word in _COLOURS:
            return word
        if word not in _ADJECTIVES:
            return None
    return None


def _after(words: list[str]) -> str | None:
    """The colour of "..., red and dotted"; a list goes on with an article or a number instead."""
    if len(words) > 2 and words[0] == "," and words[1] in _COLOURS and words[2] == "and":
        return words[1]
    return None
