"""The eight kinds of background: a seamless texture, a few tints, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from chiasm.data.world import textures
from chiasm.data.world.vocabulary import Rgb


@dataclass(frozen=True, slots=True)
class Background:
    """A kind of background.

    Attributes:
        name: one word.
        phrase: where objects are, as in captions ("on a wooden floor").
        clashes: names of colours too close to the tints to stand out.
        ramps: alternative tints; each is RGB for texture values 0, ..., 255 at equal steps.
        texture: draws the texture.
    """

    name: str
    phrase: str
    clashes: tuple[str, ...]
    ramps: tuple[tuple[Rgb, ...], ...] = field(compare=False, repr=False)
    texture: Callable[[], UInt8[np.ndarray, "H W"]] = field(compare=False, repr=False)


BACKGROUNDS: tuple[Background, ...] = (
    Background(
        "wall",
        "in front of a plain wall",
        (),
        (
            ((206, 200, 190), (240, 236, 228)),
            ((196, 208, 214), (232, 240, 244)),
            ((214, 200, 202), (244, 234, 234)),
            ((200, 210, 196), (234, 242, 230)),
        ),
        textures.wall,
    ),
    Background(
        "wood",
        "on a wooden floor",
        ("brown", "orange"),
        (
            ((76, 52, 38), (158, 118, 84), (206, 168, 128)),
            ((92, 74, 60), (182, 154, 126), (226, 204, 178)),
            ((60, 46, 40), (124, 98, 82), (170, 142, 122)),
        ),
        textures.wood,
    ),
    Background(
        "brick",
        "in front of a brick wall",
        ("brown", "red"),
        (
            ((206, 198, 188), (130, 74, 60), (174, 112, 92), (196, 140, 118)),
            ((188, 184, 178), (112, 66, 56), (150, 96, 82), (178, 126, 108)),
            ((120, 116, 112), (176, 150, 128), (206, 184, 160), (224, 206, 186)),
        ),
        textures.brick,
    ),
    Background(
        "tiles",
        "on tiles",
        ("grey",),
        (
            ((120, 124, 126), (182, 190, 192), (222, 228, 228), (240, 244, 244)),
            ((150, 142, 132), (196, 190, 178), (228, 222, 212), (244, 240, 232)),
            ((110, 124, 134), (168, 186, 198), (206, 220, 230), (232, 240, 246)),
        ),
        textures.tiles,
    ),
    Background(
        "grass",
        "on grass",
        ("green",),
        (
            ((38, 56, 24), (86, 112, 50), (134, 156, 84), (166, 184, 116)),
            ((46, 58, 30), (104, 118, 60), (150, 160, 92), (186, 192, 128)),
            ((30, 56, 36), (66, 104, 62), (112, 146, 96), (150, 178, 130)),
        ),
        textures.grass,
    ),
    Background(
        "sand",
        "on sand",
        ("yellow",),
        (
            ((178, 150, 112), (216, 192, 152), (240, 222, 188)),
            ((186, 164, 136), (222, 204, 176), (244, 232, 208)),
            ((164, 140, 116), (200, 178, 150), (228, 210, 184)),
        ),
        textures.sand,
    ),
    Background(
        "sky",
        "in a cloudy sky",
        ("cyan",),
        (
            ((116, 170, 216), (176, 208, 234), (244, 246, 248)),
            ((138, 178, 206), (190, 212, 226), (240, 240, 240)),
            ((150, 164, 200), (206, 204, 220), (250, 238, 228)),
        ),
        textures.sky,
    ),
    Background(
        "water",
        "on water",
        ("blue", "cyan"),
        (
            ((34, 86, 118), (74, 134, 160), (140, 186, 200), (222, 238, 240)),
            ((30, 96, 104), (70, 142, 146), (136, 190, 188), (222, 240, 234)),
            ((48, 74, 104), (90, 118, 148), (150, 174, 194), (226, 234, 240)),
        ),
        textures.water,
    ),
)
"""Every kind of background; the position in this tuple is the background index."""

PLAIN = BACKGROUNDS[0]
"""The one that no colour clashes with."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One background as it appears in a scene.

    Attributes:
        kind: what it is.
        tint: which of the kind's ramps.
        x, y: shift of the texture, in sides of the picture.
        zoom: sides of the texture per side of the picture.
    """

    kind: Background
    tint: int
    x: float
    y: float
    zoom: float


def values(ground: Ground, size_px: int) -> UInt8[np.ndarray, "H W"]:
    """The grey texture behind a scene, 0 to 255."""
    texture = _level(ground.kind, _level_px(size_px))
    step = ground.zoom * texture.shape[0] / size_px
    # The texture's side in pixels is the period, so shifts are kept within one period.
    start_x, start_y = (share * texture.shape[0] + (step - 1) / 2 for share in (ground.x, ground.y))
    matrix = np.array([[step, 0, start_x], [0, step, start_y]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(texture, matrix, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_WRAP)


def picture(ground: Ground, size_px: int) -> Float32[np.ndarray, "3 H W"]:
    """The tinted background as colour planes, 0 to 255."""
    return _ramp(ground.kind, ground.tint).take(values(ground, size_px), axis=1)


def _level_px(size_px: int) -> int:
    """Side of the smallest texture level that is at least as fine as the picture."""
    level_px = 16
    while level_px < size_px and level_px < textures.MASTER_PX:
        level_px *= 2
    return level_px


@cache
def _level(kind: Background, level_px: int) -> UInt8[np.ndarray, "H W"]:
    if level_px == textures.MASTER_PX:
        return kind.texture()
    return cv2.resize(_level(kind, textures.MASTER_PX), (level_px, level_px), interpolation=cv2.INTER_AREA)


@cache
def _ramp(kind: Background, tint: int) -> Float32[np.ndarray, "3 _"]:
    stops = np.array(kind.ramps[tint], np.float32)
    at = np.linspace(0, 255, len(stops))
    return np.stack([np.interp(np.arange(256), at, stops[:, k]) for k in range(3)]).astype(np.float32)
