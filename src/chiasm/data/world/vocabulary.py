"""The words of the world that need no drawing: colours, sizes, places."""

from __future__ import annotations

from dataclasses import dataclass, field

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Colour:
    """A named colour.

    Attributes:
        name: as in captions.
        base: RGB of the surface, 0 to 255.
        second: RGB of the other tone in patterns; the same hue, so that the name stays true.
    """

    name: str
    base: Rgb = field(repr=False)
    second: Rgb = field(repr=False)


COLOURS: tuple[Colour, ...] = (
    Colour("red", (206, 32, 38), (246, 146, 142)),
    Colour("orange", (240, 122, 20), (255, 196, 136)),
    Colour("yellow", (246, 208, 24), (176, 138, 0)),
    Colour("green", (44, 150, 58), (160, 218, 156)),
    Colour("cyan", (40, 188, 200), (10, 108, 122)),
    Colour("blue", (36, 76, 200), (140, 172, 246)),
    Colour("purple", (118, 44, 164), (202, 156, 230)),
    Colour("pink", (244, 128, 180), (190, 44, 116)),
    Colour("brown", (122, 74, 38), (196, 152, 112)),
    Colour("grey", (112, 114, 118), (196, 198, 202)),
)
"""Every colour; the position in this tuple is the colour index."""


@dataclass(frozen=True, slots=True)
class Size:
    """A named size; `diameter` is that of a disc of the object's area, as a share of the picture's side."""

    name: str
    diameter: float


SIZES: tuple[Size, ...] = (Size("small", 0.215), Size("medium", 0.295), Size("large", 0.405))
"""Sizes in rising order."""

SIZE_JITTER = 0.04
"""Objects of one size differ by at most this share; neighbouring sizes stay apart by more than 1.5 in area."""


PLACES: tuple[str, ...] = (
    "top left",
    "top",
    "top right",
    "left",
    "middle",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
"""The nine places, row by row."""
