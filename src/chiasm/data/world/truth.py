"""Ground truth of a scene on a pixel grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from chiasm.core.example import Truth
from chiasm.data.world.geometry import topmost
from chiasm.data.world.layout import Layout
from chiasm.data.world.scene import Scene
from chiasm.data.world.shapes import SHAPES


def scene_truth(scene: Scene, size_px: int) -> Truth:
    """Boxes, masks and classes of a scene's objects, back to front; the same in every domain."""
    panoptic = topmost(scene.objects, size_px)
    indices = np.arange(1, len(scene.objects) + 1, dtype=np.uint8)
    masks = panoptic[None] == indices[:, None, None]
    classes = np.array([SHAPES.index(thing.shape) for thing in scene.objects], np.int64)
    semantic = np.concatenate([[0], classes + 1]).astype(np.uint8)[panoptic]
    return Truth(_boxes(masks), masks, classes, semantic, panoptic)


def main_class(scene: Scene, measured: Layout) -> int:
    """The picture's class: that of the object that shows most (see `Layout.main`)."""
    main = measured.main if len(scene.objects) > 1 else 0
    return SHAPES.index(scene.objects[main].shape)


def _boxes(masks: Bool[np.ndarray, "M H W"]) -> Float32[np.ndarray, "M 4"]:
    """Smallest `xyxy` boxes around masks, right and bottom exclusive; zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size:
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
