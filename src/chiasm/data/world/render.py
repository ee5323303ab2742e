"""A scene drawn in a domain at a size."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from chiasm.data.world.domains import Domain
from chiasm.data.world.geometry import patch
from chiasm.data.world.scene import Scene
from chiasm.data.world.surface import shadow

OUTLINE_REACH = 0.015
"""Nothing of an object but its shadow is drawn further from its silhouette than this (share of the side) or 2 px."""


def render(scene: Scene, domain: Domain, size_px: int) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a scene.

    Args:
        size_px: side of the picture.

    Returns:
        RGB, 0 to 255.
    """
    canvas = domain.ground(scene, size_px)
    for thing in scene.objects:
        rows, columns, depth = shadow(thing, scene.light, size_px)
        canvas[:, rows, columns] *= 1 - np.float32(domain.shade) * depth
        here = patch(thing, size_px, OUTLINE_REACH)
        colours, share = domain.paint(thing, here, scene.light, size_px)
        under = canvas[:, here.rows, here.columns]
        under += (colours - under) * share
    planes = (domain.finish(canvas, scene) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
    return cv2.merge(list(planes))
