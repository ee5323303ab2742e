"""The world's truth, recomputed from the masks alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chiasm.data.world.layout import Layout
from chiasm.data.world.scene import Scene
from chiasm.data.world.truth import scene_truth
from chiasm.data.world.world import World

WORLD = World(min_objects=2)
SIZE_PX = 160
INDICES = range(40)


def test_boxes_are_the_tightest_around_the_visible_pixels() -> None:
    for index in INDICES:
        truth = WORLD.truth(index, SIZE_PX)
        for box, mask in zip(truth.boxes, truth.masks, strict=True):
            row, column = np.nonzero(mask)
            assert box.tolist() == [column.min(), row.min(), column.max() + 1, row.max() + 1]


def test_masks_semantic_and_panoptic_tell_the_same() -> None:
    for index in INDICES:
        scene, truth = WORLD.scene(index), WORLD.truth(index, SIZE_PX)
        assert truth.masks.sum(axis=0).max() == 1
        names = [WORLD.classes[number] for number in truth.classes]
        assert names == [thing.shape.name for thing in scene.objects]
        rebuilt = np.zeros((SIZE_PX, SIZE_PX), int)
        semantic = np.zeros((SIZE_PX, SIZE_PX), int)
        for number, mask in enumerate(truth.masks):
            rebuilt[mask] = number + 1
            semantic[mask] = truth.classes[number] + 1
        np.testing.assert_array_equal(truth.panoptic, rebuilt)
        np.testing.assert_array_equal(truth.semantic, semantic)


def test_the_front_object_is_whole_and_the_ones_behind_are_cut() -> None:
    num_hidden = 0
    for index in INDICES:
        scene = WORLD.scene(index)
        masks = scene_truth(scene, SIZE_PX).masks
        for position, thing in enumerate(scene.objects):
            alone = scene_truth(replace(scene, objects=(thing,)), SIZE_PX).masks[0]
            in_front = masks[position + 1 :].any(axis=0)
            np.testing.assert_array_equal(masks[position], alone & ~in_front)
            num_hidden += bool((alone & in_front).any())
    assert num_hidden > 12


def test_the_label_is_the_class_of_the_largest_mask() -> None:
    for index in INDICES:
        truth = WORLD.truth(index, 64)
        areas = truth.masks.sum(axis=(1, 2))
        largest = {int(truth.classes[number]) for number in np.flatnonzero(areas == areas.max())}
        assert WORLD.label(index) in largest
        assert WORLD.example(index).label == WORLD.label(index)


def test_relations_hold_for_the_masks_of_another_grid() -> None:
    found: set[str] = set()
    for index in INDICES:
        scene = WORLD.scene(index)
        masks = scene_truth(scene, SIZE_PX).masks
        middles = [np.argwhere(mask).mean(axis=0) / SIZE_PX for mask in masks]
        areas = masks.sum(axis=(1, 2))
        for relation in WORLD.relations(index):
            found.add(relation.name)
            (y, x), (other_y, other_x) = middles[relation.subject], middles[relation.other]
            holds = {
                "left of": other_x - x > 0.12,
                "right of": x - other_x > 0.12,
                "above": other_y - y > 0.12,
                "below": y - other_y > 0.12,
                "bigger than": areas[relation.subject] > 1.25 * areas[relation.other],
                "smaller than": areas[relation.other] > 1.25 * areas[relation.subject],
                "in front of": relation.subject > relation.other and _bites(scene, relation.subject, relation.other),
                "behind": relation.subject < relation.other and _bites(scene, relation.other, relation.subject),
            }
            assert holds[relation.name], relation
    assert found == {"left of", "right of", "above", "below", "bigger than", "smaller than", "in front of", "behind"}


def _bites(scene: Scene, front: int, back: int) -> bool:
    """Whether, with only these two in the picture, one hides part of the other."""
    pair = replace(scene, objects=(scene.objects[back], scene.objects[front]))
    alone = replace(scene, objects=(scene.objects[back],))
    lost = scene_truth(alone, SIZE_PX).masks[0].sum() - scene_truth(pair, SIZE_PX).masks[0].sum()
    return bool(lost > 0)


def test_every_clear_left_of_is_found() -> None:
    for index in range(30):
        scene = WORLD.scene(index)
        middles = [np.argwhere(mask).mean(axis=0) / SIZE_PX for mask in scene_truth(scene, SIZE_PX).masks]
        found = {
            (relation.subject, relation.other)
            for relation in Layout(scene.objects).relations
            if relation.name == "left of"
        }
        for subject in range(len(middles)):
            for other in range(len(middles)):
                if middles[other][1] - middles[subject][1] > 0.16:
                    assert (subject, other) in found


def test_example_holds_only_what_was_asked_for() -> None:
    bare = WORLD.example(0)
    assert (bare.truth, bare.captions, bare.questions, bare.edit) == (None, (), (), None)
    full = WORLD.example(0, truth=True, language=True, edit=True, size_px=96)
    assert full.truth is not None
    assert full.truth.masks.shape[1:] == full.picture.shape[:2] == (96, 96)
    assert full.edit is not None
    assert full.edit.after.shape == (96, 96, 3)
    assert len(full.captions) == 5
    assert full.questions
    np.testing.assert_array_equal(bare.picture, WORLD.picture(0))
    assert full.key == bare.key
