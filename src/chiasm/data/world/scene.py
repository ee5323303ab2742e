"""`Scene`: everything there is to know about a picture, in units of its side and free of pixels.

A scene is drawn in any domain and at any size; all truth, language and edits are read off it.
"""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.data.world.backgrounds import Ground
from chiasm.data.world.defects import Defect
from chiasm.data.world.patterns import Pattern
from chiasm.data.world.shapes import Shape
from chiasm.data.world.vocabulary import Colour, Size


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object.

    Attributes:
        shape, colour, pattern, size: what it is.
        x, y: its middle, as shares of the picture's side from the left and from the top.
        diameter: of a disc of its area, as a share of the picture's side.
        angle: clockwise rotation, as a share of a full turn.
        flipped: mirrored left to right before rotation.
        defect: what is wrong with it, if anything.
    """

    shape: Shape
    colour: Colour
    pattern: Pattern
    size: Size
    x: float
    y: float
    diameter: float
    angle: float
    flipped: bool
    defect: Defect | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """How a scene is lit.

    Attributes:
        x, y: unit vector towards the light, in the plane of the picture; y points down.
        slope: how much brightness falls across the picture, as a share.
        warmth: tint of the light, -1 (cool) to 1 (warm).
        lamp_x, lamp_y: middle of the pool of light at night, as shares of the picture's side.
    """

    x: float
    y: float
    slope: float
    warmth: float
    lamp_x: float
    lamp_y: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture's content.

    Attributes:
        objects: back to front; an object's index is its place in the depth order.
        ground: what is behind them.
        light: how they are lit.
        grain: where in the tables of noise, paper and brush strokes this picture begins, 0 to 2**16 - 1.
    """

    objects: tuple[SceneObject, ...]
    ground: Ground
    light: Light
    grain: int
