"""The world's edits: the instruction is followed, and nothing else changes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from chiasm.data.world.backgrounds import BACKGROUNDS
from chiasm.data.world.domains import DOMAINS
from chiasm.data.world.edits import EDITS, Change, first_clear
from chiasm.data.world.render import render
from chiasm.data.world.scene import Scene, SceneObject
from chiasm.data.world.shapes import SHAPES
from chiasm.data.world.splits import SPLITS, is_held_out, split
from chiasm.data.world.surface import shadow_reach
from chiasm.data.world.truth import scene_truth
from chiasm.data.world.vocabulary import COLOURS, PLACES
from chiasm.data.world.world import World

SIZE_PX = 96
WORLD = World(size_px=SIZE_PX)
COLOUR_NAMES = {colour.name for colour in COLOURS}
SHAPE_NAMES = {shape.name for shape in SHAPES}


def only(scene: Scene, name: str) -> int:
    """Index of the only object that has all the attributes in a name."""
    found = [index for index, thing in enumerate(scene.objects) if set(name.split()) <= attributes(thing)]
    assert len(found) == 1, name
    return found[0]


def attributes(thing: SceneObject) -> set[str]:
    return {thing.shape.name, thing.colour.name, thing.pattern.name, thing.size.name}


def place_of(scene: Scene, index: int) -> str:
    y, x = np.argwhere(scene_truth(scene, SIZE_PX).masks[index]).mean(axis=0) / SIZE_PX
    return PLACES[3 * int(3 * y) + int(3 * x)]


def others(scene: Scene, index: int | None) -> list[SceneObject]:
    return [thing for number, thing in enumerate(scene.objects) if number != index]


def check_make(before: Scene, change: Change) -> None:
    words = re.fullmatch(r"make the (.+) (\w+)", change.instruction)
    assert words
    index, word = only(before, words[1]), words[2]
    old, new = before.objects[index], change.scene.objects[index]
    if word in ("bigger", "smaller"):
        areas = [scene_truth(replace(before, objects=(thing,)), SIZE_PX).masks.sum() for thing in (old, new)]
        assert areas[1] > 1.3 * areas[0] if word == "bigger" else areas[0] > 1.3 * areas[1]
        assert replace(new, size=old.size, diameter=old.diameter) == old
    elif word in COLOUR_NAMES:
        assert new.colour.name == word != old.colour.name
        assert replace(new, colour=old.colour) == old
    else:
        assert new.pattern.name == word != old.pattern.name
        assert replace(new, pattern=old.pattern) == old
    assert others(before, index) == others(change.scene, index)


def check_remove(before: Scene, change: Change) -> None:
    index = only(before, change.instruction.removeprefix("remove the "))
    assert list(change.scene.objects) == others(before, index)


def check_add(before: Scene, change: Change) -> None:
    words = re.fullmatch(r"add an? (\w+ \w+ \w+ \w+) (?:at|on|in) the (.+)", change.instruction)
    assert words
    assert change.scene.objects[:-1] == before.objects
    assert set(words[1].split()) == attributes(change.scene.objects[-1])
    assert place_of(change.scene, len(before.objects)) == words[2]


def check_replace(before: Scene, change: Change) -> None:
    words = re.fullmatch(r"replace the (.+) with an? (\w+ \w+ \w+)", change.instruction)
    assert words
    index = only(before, words[1])
    new = change.scene.objects[index]
    assert set(words[2].split()) == {new.pattern.name, new.colour.name, new.shape.name}
    assert (new.x, new.y, new.size) == (before.objects[index].x, before.objects[index].y, before.objects[index].size)
    assert others(before, index) == others(change.scene, index)


def check_move(before: Scene, change: Change) -> None:
    words = re.fullmatch(r"move the (.+) to the (.+?)(?: side)?", change.instruction)
    assert words
    index = only(before, words[1])
    old, new = before.objects[index], change.scene.objects[index]
    assert replace(new, x=old.x, y=old.y) == old
    assert place_of(change.scene, index) == words[2] != place_of(before, index)
    assert others(before, index) == others(change.scene, index)


def check_background(before: Scene, change: Change) -> None:
    phrase = change.instruction.removeprefix("put everything ")
    assert [kind for kind in BACKGROUNDS if kind.phrase == phrase] == [change.scene.ground.kind]
    assert change.scene.ground.kind != before.ground.kind
    assert change.scene.objects == before.objects


def check_domain(before: Scene, change: Change) -> None:
    assert change.scene == before
    assert change.instruction == change.domain.request
    assert change.domain.name != WORLD.domain


CHECKS = {
    "recolour": check_make,
    "repattern": check_make,
    "resize": check_make,
    "remove": check_remove,
    "add": check_add,
    "replace": check_replace,
    "move": check_move,
    "background": check_background,
    "domain": check_domain,
}


def test_instructions_are_followed_and_every_kind_occurs() -> None:
    kinds: Counter[str] = Counter()
    for index in range(100):
        change = WORLD.change(index)
        CHECKS[change.kind](WORLD.scene(index), change)
        kinds[change.kind] += 1
    assert set(kinds) == {kind.name for kind in EDITS}
    assert min(kinds.values()) >= 3


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_pixels_change_only_around_the_edited_object(domain) -> None:
    draw = np.random.default_rng(0)
    num_checked = 0
    for index in range(8):
        before = WORLD.scene(index)
        picture = render(before, domain, SIZE_PX)
        for kind in EDITS[:7]:
            change = first_clear(draw, kind, before, domain, split("train"))
            if change is None:
                continue
            after = render(change.scene, domain, SIZE_PX)
            touched = [before.objects[change.before]] if change.before is not None else []
            touched += [change.scene.objects[change.after]] if change.after is not None else []
            allowed = np.zeros((SIZE_PX, SIZE_PX), bool)
            for thing in touched:
                alone = scene_truth(replace(before, objects=(thing,)), SIZE_PX).masks[0].astype(np.uint8)
                # Outline and brush strokes reach a little further than object and shadow.
                reach_px = int(np.ceil((shadow_reach(thing) + 0.03) * SIZE_PX)) + 2
                ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
                allowed |= cv2.dilate(alone, ellipse) > 0
            changed = (picture != after).any(axis=2)
            assert not (changed & ~allowed).any(), change.instruction
            assert changed.any(), change.instruction
            num_checked += 1
    assert num_checked > 30


def test_the_edited_scene_is_clear_too() -> None:
    for index in range(40):
        scene = WORLD.change(index).scene
        masks = scene_truth(scene, 128).masks
        for position, thing in enumerate(scene.objects):
            alone = scene_truth(replace(scene, objects=(thing,)), 128).masks[0]
            assert masks[position].sum() >= 0.66 * alone.sum()
            assert not alone[[0, -1]].any()
            assert not alone[:, [0, -1]].any()
            assert thing.colour.name not in scene.ground.kind.clashes


@pytest.mark.parametrize("part", SPLITS, ids=lambda part: part.name)
def test_edits_keep_to_the_combinations_of_their_split(part) -> None:
    world = World(split=part.name)
    for index in range(40):
        for thing in world.change(index).scene.objects:
            assert is_held_out(thing.shape, thing.colour) == part.novel


def test_the_example_holds_the_picture_after_the_edit() -> None:
    for index in range(6):
        example, change = WORLD.example(index, edit=True), WORLD.change(index)
        assert example.edit is not None
        assert example.edit.instruction == change.instruction
        np.testing.assert_array_equal(example.edit.after, render(change.scene, change.domain, SIZE_PX))
        assert np.abs(example.edit.after.astype(int) - example.picture).max() > 30
