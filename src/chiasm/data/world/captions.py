"""Five captions of a scene, from bare to detailed; every word in them is true and visible."""

from __future__ import annotations

import numpy as np

from chiasm.data.world.chance import pick, shuffled
from chiasm.data.world.domains import Domain
from chiasm.data.world.layout import Layout
from chiasm.data.world.scene import Scene
from chiasm.data.world.wording import (
    NUMBERS,
    at_place,
    by_class,
    by_colour_and_class,
    full,
    place,
    unique_name,
    with_article,
)


def captions(draw: np.random.Generator, scene: Scene, domain: Domain, measured: Layout) -> tuple[str, ...]:
    """Five different captions: all objects, with the medium, the main object, a relation, the count."""
    return (
        _content(draw, scene),
        _medium(draw, scene, domain),
        _main(draw, scene, measured),
        _relation(draw, scene, measured),
        _count(draw, scene),
    )


def _content(draw: np.random.Generator, scene: Scene) -> str:
    what, where = by_colour_and_class(shuffled(draw, scene.objects)), scene.ground.kind.phrase
    return pick(draw, (f"{what} {where}", f"{where}, {what}", f"{where} there {_verb(scene)} {what}"))


def _medium(draw: np.random.Generator, scene: Scene, domain: Domain) -> str:
    what = by_colour_and_class(shuffled(draw, scene.objects))
    return pick(draw, (f"{domain.noun} of {what}", f"{domain.noun} that shows {what}", f"{domain.noun} with {what}"))


def _main(draw: np.random.Generator, scene: Scene, measured: Layout) -> str:
    main = measured.main
    what, spot = with_article(full(scene.objects[main])), place(measured, main)
    others = len(scene.objects) - 1
    company = ""
    if others:
        company = f" with {NUMBERS[others]} other {'object' if others == 1 else 'objects'}"
    if spot is None:
        return pick(draw, (f"{what}{company}", f"a picture of {what}{company}"))
    return pick(draw, (f"{what} {at_place(spot)}{company}", f"{at_place(spot)} there is {what}{company}"))


def _relation(draw: np.random.Generator, scene: Scene, measured: Layout) -> str:
    names = [unique_name(scene.objects, index) for index in range(len(scene.objects))]
    clear = [relation for relation in measured.relations if names[relation.subject] and names[relation.other]]
    if clear:
        relation = pick(draw, clear)
        return f"the {names[relation.subject]} is {relation.name} the {names[relation.other]}"
    thing = scene.objects[measured.main]
    looks = f"{thing.colour.name} and {thing.pattern.name}"
    where = scene.ground.kind.phrase
    if len(scene.objects) == 1:
        return f"a single {thing.shape.name}, {looks}, {where}"
    return f"among other things {where} there is {with_article(thing.shape.name)}, {looks}"


def _count(draw: np.random.Generator, scene: Scene) -> str:
    num, what = len(scene.objects), by_class(shuffled(draw, scene.objects))
    if num == 1:
        return pick(draw, (f"one object, {what}", f"there is one object: {what}", f"nothing but {what}"))
    return pick(draw, (f"{NUMBERS[num]} objects: {what}", f"there are {NUMBERS[num]} objects: {what}"))


def _verb(scene: Scene) -> str:
    return "is" if len(scene.objects) == 1 else "are"
