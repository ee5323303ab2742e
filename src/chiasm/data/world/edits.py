"""Edits: an instruction, and the scene or the domain after following it.

Only what the instruction names changes. The instruction names one object without doubt, the scene afterwards is as
clear as any, and it keeps to the split's combinations of class and colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chiasm.data.world.backgrounds import BACKGROUNDS
from chiasm.data.world.chance import pick, shuffled
from chiasm.data.world.domains import DOMAINS, Domain
from chiasm.data.world.layout import Layout
from chiasm.data.world.patterns import PATTERNS
from chiasm.data.world.room import is_clear, places
from chiasm.data.world.sampler import draw_object, stands_out
from chiasm.data.world.scene import Scene, SceneObject
from chiasm.data.world.splits import Split, colours_of
from chiasm.data.world.vocabulary import SIZES
from chiasm.data.world.wording import NUMBERS, at_place, full, place, to_place, unique_name, with_article

_TRIES = 6


@dataclass(frozen=True, slots=True)
class Change:
    """An edit of a scene.

    Attributes:
        kind: which of `EDITS`.
        instruction: what to do, as a person would say it.
        scene, domain: the picture afterwards.
        before, after: index of the object concerned, then and now; None where there is none.
    """

    kind: str
    instruction: str
    scene: Scene
    domain: Domain
    before: int | None = None
    after: int | None = None


Proposal = Callable[[np.random.Generator, Scene, Domain, Split], Iterator[Change]]


@dataclass(frozen=True, slots=True)
class EditKind:
    """A kind of edit; `propose` yields candidates, which may turn out unclear."""

    name: str
    propose: Proposal = field(compare=False, repr=False)


def draw_change(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Change:
    """An edit of a random kind that is possible in this scene."""
    for kind in shuffled(draw, EDITS):
        change = first_clear(draw, kind, scene, domain, split)
        if change is not None:
            return change
    return next(_change_domain(draw, scene, domain, split))


def first_clear(draw: np.random.Generator, kind: EditKind, scene: Scene, domain: Domain, split: Split) -> Change | None:
    """An edit of one kind; None where the scene allows none."""
    for change in kind.propose(draw, scene, domain, split):
        if stands_out(change.scene) and is_clear(change.scene.objects):
            return change
    return None


def _named(draw: np.random.Generator, scene: Scene) -> Iterator[tuple[int, str]]:
    """Objects that can be told apart by name, in random order, several times over."""
    names = [(index, unique_name(scene.objects, index)) for index in range(len(scene.objects))]
    known = [(index, name) for index, name in names if name is not None]
    for _ in range(_TRIES if known else 0):
        yield pick(draw, known)


def _with(scene: Scene, index: int, thing: SceneObject) -> Scene:
    return replace(scene, objects=(*scene.objects[:index], thing, *scene.objects[index + 1 :]))


def _clear_place(objects: Sequence[SceneObject], index: int) -> str | None:
    """Where an object is; None when that is unclear or when one of the objects is hidden too much."""
    return place(Layout(objects), index) if is_clear(objects) else None


def _recolour(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    for index, name in _named(draw, scene):
        thing = scene.objects[index]
        colour = pick(draw, [colour for colour in colours_of(thing.shape, split.novel) if colour != thing.colour])
        after = _with(scene, index, replace(thing, colour=colour))
        yield Change("recolour", f"make the {name} {colour.name}", after, domain, index, index)


def _repattern(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    for index, name in _named(draw, scene):
        thing = scene.objects[index]
        pattern = pick(draw, [pattern for pattern in PATTERNS if pattern != thing.pattern])
        after = _with(scene, index, replace(thing, pattern=pattern))
        yield Change("repattern", f"make the {name} {pattern.name}", after, domain, index, index)


def _resize(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    for index, name in _named(draw, scene):
        thing = scene.objects[index]
        size = pick(draw, [size for size in SIZES if size != thing.size])
        sized = replace(thing, size=size, diameter=thing.diameter * size.diameter / thing.size.diameter)
        word = "bigger" if size.diameter > thing.size.diameter else "smaller"
        yield Change("resize", f"make the {name} {word}", _with(scene, index, sized), domain, index, index)


def _remove(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    if len(scene.objects) == 1:
        return
    for index, name in _named(draw, scene):
        after = replace(scene, objects=scene.objects[:index] + scene.objects[index + 1 :])
        yield Change("remove", f"remove the {name}", after, domain, index, None)


def _add(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    if len(scene.objects) + 1 >= len(NUMBERS):
        return
    for mark in places(draw, draw_object(draw, split, scene.objects), 2 * _TRIES):
        objects = (*scene.objects, mark.moved)
        spot = _clear_place(objects, len(scene.objects))
        if spot is not None:
            instruction = f"add {with_article(full(mark.moved))} {at_place(spot)}"
            after = replace(scene, objects=objects)
            yield Change("add", instruction, after, domain, None, len(scene.objects))


def _replace(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    for index, name in _named(draw, scene):
        old, new = scene.objects[index], draw_object(draw, split)
        if new.shape == old.shape:
            continue
        new = replace(new, x=old.x, y=old.y, size=old.size, diameter=old.diameter)
        words = f"{new.pattern.name} {new.colour.name} {new.shape.name}"
        instruction = f"replace the {name} with {with_article(words)}"
        yield Change("replace", instruction, _with(scene, index, new), domain, index, index)


def _move(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    measured = Layout(scene.objects)
    for index, name in _named(draw, scene):
        for mark in places(draw, scene.objects[index], 2):
            after = _with(scene, index, mark.moved)
            spot = _clear_place(after.objects, index)
            if spot is not None and place(measured, index) not in (None, spot):
                yield Change("move", f"move the {name} {to_place(spot)}", after, domain, index, index)


def _change_ground(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    for kind in shuffled(draw, [kind for kind in BACKGROUNDS if kind != scene.ground.kind]):
        ground = replace(scene.ground, kind=kind, tint=int(draw.integers(len(kind.ramps))))
        yield Change("background", f"put everything {kind.phrase}", replace(scene, ground=ground), domain)


def _change_domain(draw: np.random.Generator, scene: Scene, domain: Domain, split: Split) -> Iterator[Change]:
    other = pick(draw, [other for other in DOMAINS if other != domain])
    yield Change("domain", other.request, scene, other)


EDITS: tuple[EditKind, ...] = (
    EditKind("recolour", _recolour),
    EditKind("repattern", _repattern),
    EditKind("resize", _resize),
    EditKind("remove", _remove),
    EditKind("add", _add),
    EditKind("replace", _replace),
    EditKind("move", _move),
    EditKind("background", _change_ground),
    EditKind("domain", _change_domain),
)
"""Every kind of edit; the position in this tuple is the kind's index."""
