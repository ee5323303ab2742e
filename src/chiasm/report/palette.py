"""The colours of a report, each with a light and a dark form, told apart by readers with colour-blind eyes.

The series were searched in OKLCH for the largest distance between any two of them as seen with full, red-blind,
green-blind and blue-blind sight, every one keeping a contrast of at least 3.3:1 against its paper. Plots are drawn with
the light forms, which are then replaced by CSS variables of the same name: one plot serves both schemes.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour: the CSS variable's name (without dashes in front) and `#rrggbb` on light and on dark paper."""

    name: str
    light: str
    dark: str


PAPER = Colour("paper", "#fefdfb", "#15181d")
SURFACE = Colour("surface", "#f5f3ee", "#1e2229")
INK = Colour("ink", "#1b2129", "#e8e6e1")
SOFT = Colour("soft", "#5b6470", "#a3abb6")
RULE = Colour("rule", "#dcd8cf", "#363c45")
ACCENT = Colour("accent", "#0b5c8f", "#74bdee")
RIGHT = Colour("right", "#0a69a8", "#5db5ee")
WRONG = Colour("wrong", "#c2500a", "#f2894a")
QUERY = Colour("query", "#3c4450", "#c9ced6")

MUTED = Colour("muted", "#858c96", "#828a95")

SERIES = (
    Colour("series-1", "#305cad", "#61a9fd"),
    Colour("series-2", "#760000", "#b1510a"),
    Colour("series-3", "#588c5d", "#71e994"),
    Colour("series-4", "#973069", "#d1849e"),
    Colour("series-5", "#7b5902", "#b1b211"),
    Colour("series-6", "#123092", "#8a5bc7"),
    Colour("series-7", "#0097c4", "#007874"),
    Colour("series-8", "#37343f", "#e3e3f2"),
)

ALL = (PAPER, SURFACE, INK, SOFT, RULE, ACCENT, RIGHT, WRONG, QUERY, MUTED, *SERIES)

# Bright, as pictures are darker than paper more often than not; hues after Okabe and Ito's set for colour-blind eyes.
_TINTS = ("#56b4e9", "#f58a4b", "#2fc79b", "#e896cb", "#e6c341", "#a99cf5", "#93e1ec", "#e2553d")
_GOLDEN_TURN = 0.6180339887498949

_HEAT_COLOURS = 256
_OKLAB_TO_CONES = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_CONES_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def distinct(num_colours: int) -> tuple[tuple[int, int, int], ...]:
    """Colours for masks and boxes on pictures, RGB 0 to 255: eight bright ones, then hues by the golden ratio."""
    known = [channels(tint) for tint in _TINTS]
    for index in range(len(known), num_colours):
        red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_TURN % 1, 0.55 + 0.4 * (index % 2), 0.95)
        known.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(known[:num_colours])


@cache
def heat() -> UInt8[np.ndarray, "K 3"]:
    """256 colours from little to much, RGB 0 to 255: from dark violet over red to light yellow.

    Lightness rises in equal steps, so the order shows without any colour too: in grey print, to colour-blind eyes.
    """
    lightness = np.linspace(0.30, 0.96, _HEAT_COLOURS)
    share = np.linspace(0, 1, _HEAT_COLOURS)
    chroma = 0.05 + 0.15 * np.sin(np.pi * share**0.8)
    hue = np.radians(-75 + 180 * share**1.15)
    return _srgb(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1))


def _srgb(oklab: Float[np.ndarray, "K 3"]) -> UInt8[np.ndarray, "K 3"]:
    """OKLab (Ottosson, 2020, "A perceptual color space for image processing") to sRGB, cut off at its limits."""
    cones = (oklab @ np.array(_OKLAB_TO_CONES).T) ** 3
    linear = (cones @ np.array(_CONES_TO_RGB).T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


def channels(hexadecimal: str) -> tuple[int, int, int]:
    """`#rrggbb` as red, green, blue, 0 to 255."""
    return int(hexadecimal[1:3], 16), int(hexadecimal[3:5], 16), int(hexadecimal[5:7], 16)


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """Red, green, blue, 0 to 255, as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
