"""Patches to choose from: a block of a page that shows how alike all patches are to the one that is pointed at.

The page holds the vectors themselves, in 8 bits a number, and a script that multiplies them. Cosines do not depend on
lengths, so every vector is scaled to fill its bits and no scale needs to be kept.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8

from chiasm.core.errors import InputError
from chiasm.report import palette
from chiasm.report._templates import render, source
from chiasm.report.pictures import Picture
from chiasm.report.script import Script

MOST_BYTES = 48 << 20
"""Of the vectors on a page; a third more as text."""
_LEVELS = 127
_STOPS = 9
OPACITY = 0.85
"""Of the greatest cosine over its picture; that of a level is this times its root."""


@dataclass(frozen=True, slots=True)
class PatchPicture:
    """A picture whose patches can be chosen.

    Attributes:
        picture: what lies below the patches.
        rows, columns: of patches.
        vectors: of the patches, row by row, as text.
    """

    picture: Picture
    rows: int
    columns: int
    vectors: str


@dataclass(frozen=True, slots=True)
class SimilarityFigure:
    """Pictures with a map of cosines over each; usually made by `SimilarityFigure.of`.

    Attributes:
        items: the pictures.
        width: numbers of a vector.
        start: picture, row and column of the patch that is chosen at first.
        error: cosines on the page are off by at most this.
    """

    items: Sequence[PatchPicture]
    width: int
    start: tuple[int, int, int]
    error: float

    @classmethod
    def of(
        cls, pictures: Sequence[Picture], vectors: Float[np.ndarray, "B h w D"], start: tuple[int, int, int]
    ) -> SimilarityFigure:
        """Bring vectors of patches onto a page.

        Args:
            pictures: one for each row of `vectors`, with a caption that names it.
            vectors: of the patches, of any length.
            start: picture, row and column of the patch that is chosen at first.

        Raises:
            InputError: they are too many for a page.
        """
        if vectors.size > MOST_BYTES:
            fit = MOST_BYTES // vectors[0].size
            raise InputError(
                f"at most {fit} pictures of this size on one page",
                f"{len(vectors)} came",
                "give fewer pictures or a smaller size",
            )
        levels, error = quantised(vectors)
        rows, columns, width = vectors.shape[1:]
        items = [
            PatchPicture(picture, rows, columns, _text(one.tobytes()))
            for picture, one in zip(pictures, levels, strict=True)
        ]
        return cls(items, width, start, error)

    @property
    def script(self) -> Script:
        """What makes it work."""
        return Script(source("similarity.js"))

    @property
    def opacity(self) -> float:
        """How opaque the colour of the greatest cosine is."""
        return OPACITY

    @property
    def heat(self) -> str:
        """The colours from little to much, as text."""
        return _text(palette.heat().tobytes())

    @property
    def gradient(self) -> str:
        """The same as they lie on pictures, the more opaque the more, as a gradient of a style sheet."""
        share = np.linspace(0, 1, _STOPS)
        colours = palette.heat()[np.rint(share * (len(palette.heat()) - 1)).astype(int)]
        stops = [
            f"rgb({red} {green} {blue} / {OPACITY * level**0.5:.2f})"
            for (red, green, blue), level in zip(colours.tolist(), share.tolist(), strict=True)
        ]
        return f"linear-gradient(to right, {', '.join(stops)})"

    def __html__(self) -> str:
        return render("similarity.html", "similarity", self)


def quantised(vectors: Float[np.ndarray, "B h w D"]) -> tuple[Int8[np.ndarray, "B h w D"], float]:
    """Vectors whose largest number is 127 or -127, and by how much a cosine of any two of them can be off.

    A cosine changes by no more than its two vectors turn, together.
    """
    wide = vectors.astype(np.float64)
    largest = np.abs(wide).max(axis=-1, keepdims=True)
    levels = np.rint(_LEVELS * wide / np.where(largest > 0, largest, 1)).astype(np.int8)
    apart = np.linalg.norm(_units(wide) - _units(levels.astype(np.float64)), axis=-1).max()
    return levels, float(4 * np.arcsin(min(apart / 2, 1)))


def _units(vectors: Float[np.ndarray, "B h w D"]) -> Float[np.ndarray, "B h w D"]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
