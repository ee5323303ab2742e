"""Questions about a scene with answers that can be read off the picture.

A question about "the star" is asked only when there is one star; comparisons and places only when they are clear.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from chiasm.core.example import QuestionAnswer
from chiasm.data.world.chance import pick, shuffled
from chiasm.data.world.layout import Layout
from chiasm.data.world.scene import Scene
from chiasm.data.world.shapes import SHAPES
from chiasm.data.world.vocabulary import COLOURS
from chiasm.data.world.wording import at_place, place, unique_name, with_article

OPPOSITES = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "in front of": "behind",
    "behind": "in front of",
    "bigger than": "smaller than",
    "smaller than": "bigger than",
}


def questions(draw: np.random.Generator, scene: Scene, measured: Layout) -> tuple[QuestionAnswer, ...]:
    """Question-answer pairs in random order, at most two of a kind.

    Kinds: "exists" (yes or no), "count" (a number in digits), "colour", "pattern", "shape", "where" (one of `PLACES`,
    as an adverb), "compare" (yes, no, or the name of an object).
    """
    asked = [
        _exists(draw, scene),
        _exists_not(draw, scene),
        _count_all(scene),
        _count_some(draw, scene),
        *_about_one(draw, scene),
        *_shape(draw, scene),
        *_where(draw, scene, measured),
        *_relation(draw, scene, measured),
        *_bigger(draw, scene, measured),
    ]
    return tuple(shuffled(draw, asked))


def _exists(draw: np.random.Generator, scene: Scene) -> QuestionAnswer:
    thing = pick(draw, scene.objects)
    what = pick(draw, (thing.shape.name, f"{thing.colour.name} {thing.shape.name}", f"{thing.colour.name} object"))
    return QuestionAnswer("exists", f"Is there {with_article(what)}?", "yes")


def _exists_not(draw: np.random.Generator, scene: Scene) -> QuestionAnswer:
    """Half of the absent things are near misses: the class is there, in another colour."""
    shape = pick(draw, (pick(draw, SHAPES), pick(draw, scene.objects).shape))
    there = {thing.colour for thing in scene.objects if thing.shape == shape}
    colour = pick(draw, [colour for colour in COLOURS if colour not in there])
    what = f"{colour.name} {shape.name}"
    if not there:
        what = pick(draw, (what, shape.name))
    return QuestionAnswer("exists", f"Is there {with_article(what)}?", "no")


def _count_all(scene: Scene) -> QuestionAnswer:
    return QuestionAnswer("count", "How many objects are there?", str(len(scene.objects)))


def _count_some(draw: np.random.Generator, scene: Scene) -> QuestionAnswer:
    shape = pick(draw, (*(thing.shape for thing in scene.objects), pick(draw, SHAPES)))
    colour = pick(draw, (*(thing.colour for thing in scene.objects), pick(draw, COLOURS)))
    of_class = sum(thing.shape == shape for thing in scene.objects)
    of_colour = sum(thing.colour == colour for thing in scene.objects)
    what, num = pick(draw, ((shape.plural, of_class), (f"{colour.name} objects", of_colour)))
    return QuestionAnswer("count", f"How many {what} are there?", str(num))


def _about_one(draw: np.random.Generator, scene: Scene) -> list[QuestionAnswer]:
    """Colour and pattern of objects that are the only ones of their class."""
    counts = Counter(thing.shape for thing in scene.objects)
    alone = [thing for thing in scene.objects if counts[thing.shape] == 1]
    if not alone:
        return []
    coloured, patterned = pick(draw, alone), pick(draw, alone)
    return [
        QuestionAnswer("colour", f"What colour is the {coloured.shape.name}?", coloured.colour.name),
        QuestionAnswer("pattern", f"What is the pattern of the {patterned.shape.name}?", patterned.pattern.name),
    ]


def _shape(draw: np.random.Generator, scene: Scene) -> list[QuestionAnswer]:
    counts = Counter(thing.colour for thing in scene.objects)
    alone = [thing for thing in scene.objects if counts[thing.colour] == 1]
    if not alone:
        return []
    thing = pick(draw, alone)
    return [QuestionAnswer("shape", f"What is the {thing.colour.name} object?", thing.shape.name)]


def _where(draw: np.random.Generator, scene: Scene, measured: Layout) -> list[QuestionAnswer]:
    found = []
    for index in range(len(scene.objects)):
        name, spot = unique_name(scene.objects, index), place(measured, index)
        if name is not None and spot is not None:
            found.append(QuestionAnswer("where", f"Where is the {name}?", at_place(spot)))
    return [pick(draw, found)] if found else []


def _relation(draw: np.random.Generator, scene: Scene, measured: Layout) -> list[QuestionAnswer]:
    names = [unique_name(scene.objects, index) for index in range(len(scene.objects))]
    clear = [relation for relation in measured.relations if names[relation.subject] and names[relation.other]]
    if not clear:
        return []
    relation = pick(draw, clear)
    claim, answer = pick(draw, ((relation.name, "yes"), (OPPOSITES[relation.name], "no")))
    question = f"Is the {names[relation.subject]} {claim} the {names[relation.other]}?"
    return [QuestionAnswer("compare", question, answer)]


def _bigger(draw: np.random.Generator, scene: Scene, measured: Layout) -> list[QuestionAnswer]:
    names = [unique_name(scene.objects, index) for index in range(len(scene.objects))]
    clear = [
        (names[relation.subject], names[relation.other])
        for relation in measured.relations
        if relation.name == "bigger than" and names[relation.subject] and names[relation.other]
    ]
    if not clear:
        return []
    bigger, smaller = pick(draw, clear)
    first, second = shuffled(draw, (bigger, smaller))
    return [QuestionAnswer("compare", f"Which is bigger, the {first} or the {second}?", f"the {bigger}")]
