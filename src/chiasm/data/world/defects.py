"""Defects: what can be wrong with an object, for work on anomalies.

A defect lies on one object and is described in the object's own coordinates (u to the right, v down, in diameters
from its middle), so it moves, turns and grows with it. A part that is missing shows what is behind; every other kind
changes the surface only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from chiasm.data.world.curves import TURN
from chiasm.data.world.vocabulary import Rgb

Plane = Float32[np.ndarray, "H W"]


@dataclass(frozen=True, slots=True)
class DefectKind:
    """A kind of defect.

    Attributes:
        name: as in reports.
        removes: the surface is gone, not changed.
        strength: how much of the surface's own colour the defect's colour replaces, 0 to 1.
        inks: colours it may have, RGB.
        extent: smallest and largest half length, in diameters.
        distance: maps (u, v, defect) to the signed distance in diameters, positive inside.
    """

    name: str
    removes: bool
    strength: float
    inks: tuple[Rgb, ...]
    extent: tuple[float, float]
    distance: Callable[[Plane, Plane, Defect], Plane] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect.

    Attributes:
        kind: what is wrong.
        u, v: its middle in the object's coordinates.
        angle: its direction, as a share of a full turn.
        extent: half its length, in diameters.
        wobble: two phases (shares of a turn) that give it an irregular outline.
        ink: index into the kind's colours.
    """

    kind: DefectKind
    u: float
    v: float
    angle: float
    extent: float
    wobble: tuple[float, float]
    ink: int

    def distance(self, u: Plane, v: Plane) -> Plane:
        """Signed distance to the defect's outline in diameters, positive inside, at points of the object."""
        return self.kind.distance(u, v, self)


def _scratch(u: Plane, v: Plane, defect: Defect) -> Plane:
    along, across = _own_axes(u, v, defect)
    bend = 0.035 * np.sin(TURN * (along / defect.extent * 0.7 + defect.wobble[0])).astype(np.float32)
    beyond = np.maximum(np.abs(along) - defect.extent, 0)
    return 0.036 - np.hypot(across + bend, beyond)


def _blot(u: Plane, v: Plane, defect: Defect) -> Plane:
    along, across = _own_axes(u, v, defect)
    angle = np.arctan2(across, along)
    radius = 1 + 0.16 * np.sin(3 * angle + TURN * defect.wobble[0]) + 0.1 * np.sin(5 * angle + TURN * defect.wobble[1])
    return defect.extent * radius.astype(np.float32) - np.hypot(along, across)


def _bite(u: Plane, v: Plane, defect: Defect) -> Plane:
    along, across = _own_axes(u, v, defect)
    angle = np.arctan2(across, along)
    radius = 1 + 0.07 * np.sin(6 * angle + TURN * defect.wobble[0]) + 0.06 * np.sin(9 * angle + TURN * defect.wobble[1])
    return defect.extent * radius.astype(np.float32) - np.hypot(along, across)


def _slip(u: Plane, v: Plane, defect: Defect) -> Plane:
    along, across = _own_axes(u, v, defect)
    return np.minimum(defect.extent - np.abs(along), 0.45 * defect.extent - np.abs(across))


SCRATCH = DefectKind("scratch", False, 0.85, ((244, 240, 232), (34, 30, 30)), (0.32, 0.46), _scratch)
STAIN = DefectKind("stain", False, 0.72, ((58, 44, 26), (24, 30, 34)), (0.13, 0.2), _blot)
MISSING_PART = DefectKind("missing part", True, 1.0, ((0, 0, 0),), (0.2, 0.3), _bite)
MISPRINT = DefectKind("misprint", False, 0.8, ((250, 246, 236), (236, 40, 150), (30, 190, 220)), (0.2, 0.3), _slip)

DEFECTS: tuple[DefectKind, ...] = (SCRATCH, STAIN, MISSING_PART, MISPRINT)
"""Every kind of defect; the position in this tuple is the kind's index."""


def _own_axes(u: Plane, v: Plane, defect: Defect) -> tuple[Plane, Plane]:
    """Coordinates along and across a defect."""
    cosine, sine = np.float32(np.cos(defect.angle * TURN)), np.float32(np.sin(defect.angle * TURN))
    right, down = u - np.float32(defect.u), v - np.float32(defect.v)
    return cosine * right + sine * down, cosine * down - sine * right
