"""The world's defects: where they are, what they change, and that nothing else does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np

from chiasm.data.world.defects import DEFECTS
from chiasm.data.world.sampler import inks_for
from chiasm.data.world.scene import Scene
from chiasm.data.world.surface import shadow_reach
from chiasm.data.world.vocabulary import COLOURS
from chiasm.data.world.world import World

GOOD = World(min_objects=1, max_objects=3)
BAD = World(min_objects=1, max_objects=3, defects=1.0)
SIZE_PX = 128


def without_defects(scene: Scene) -> Scene:
    return replace(scene, objects=tuple(replace(thing, defect=None) for thing in scene.objects))


def test_the_share_of_defects_is_kept_and_every_kind_occurs() -> None:
    world = World(min_objects=1, max_objects=1, defects=0.4)
    kinds = Counter(world.defect_kind(index) for index in range(200))
    assert set(kinds) == {kind.name for kind in DEFECTS} | {None}
    assert abs(kinds[None] / 200 - 0.6) < 0.1
    assert min(kinds.values()) >= 8


def test_scenes_are_the_same_with_and_without_defects() -> None:
    for index in range(30):
        scene = BAD.scene(index)
        assert sum(thing.defect is not None for thing in scene.objects) == 1
        assert without_defects(scene) == GOOD.scene(index)
        assert GOOD.defect_kind(index) is None
        assert not GOOD.defect_mask(index).any()


def test_the_mask_is_where_the_picture_differs() -> None:
    for index in range(40):
        scene = BAD.scene(index)
        damaged = next(thing for thing in scene.objects if thing.defect is not None)
        assert damaged.defect is not None
        mask = BAD.defect_mask(index, SIZE_PX)
        good, bad = GOOD.picture(index, SIZE_PX), BAD.picture(index, SIZE_PX)
        difference = np.abs(good.astype(int) - bad).max(axis=2)
        assert np.mean(difference[mask] > 12) > 0.6
        # A missing part also changes the shadow, and the relief along the new edge.
        reach = shadow_reach(damaged) + 0.2 * damaged.diameter if damaged.defect.kind.removes else 0
        reach_px = 3 + int(np.ceil(reach * SIZE_PX))
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
        around = cv2.dilate(mask.astype(np.uint8), ellipse) > 0
        assert difference[~around].max() <= 1


def test_the_mask_lies_on_the_object_as_it_was_seen() -> None:
    for index in range(40):
        scene = BAD.scene(index)
        position = next(number for number, thing in enumerate(scene.objects) if thing.defect is not None)
        mask, before = BAD.defect_mask(index, SIZE_PX), GOOD.truth(index, SIZE_PX).masks[position]
        after = BAD.truth(index, SIZE_PX).masks[position]
        defect = scene.objects[position].defect
        assert defect is not None
        assert mask.any()
        assert not (mask & ~before).any()
        np.testing.assert_array_equal(after, before & ~mask if defect.kind.removes else before)
        assert after.sum() > 0.55 * before.sum()


def test_masks_agree_between_sizes() -> None:
    for index in range(20):
        coarse, fine = BAD.defect_mask(index, 64), BAD.defect_mask(index, 256)
        shrunk = cv2.resize(fine.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
        assert coarse[shrunk > 0.9].all()
        assert not coarse[shrunk < 0.1].any()


def test_every_kind_has_an_ink_that_shows_on_every_colour() -> None:
    for kind in DEFECTS:
        for colour in COLOURS:
            for number in inks_for(kind, colour):
                for tone in (colour.base, colour.second):
                    assert max(abs(a - b) for a, b in zip(kind.inks[number], tone, strict=True)) >= 60
            assert inks_for(kind, colour)
