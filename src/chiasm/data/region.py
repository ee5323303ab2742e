"""A part of every picture of a source, as a source of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chiasm.core.errors import InputError
from chiasm.core.example import Example, Source

Box = tuple[float, float, float, float]
"""`xyxy` in pixels of the whole picture."""


class Region:
    """The same box of every picture; what lies outside a picture is left out.

    What is known of the whole picture (captions, truth, questions) need not hold for a part, so it is not told.

    Args:
        source: the whole pictures.
        box: `xyxy` in their pixels.

    Raises:
        InputError: the box is empty.
    """

    def __init__(self, source: Source, box: Box) -> None:
        left, top, right, bottom = box
        if not (np.isfinite(box).all() and left < right and top < bottom):
            came = " ".join(f"{number:g}" for number in box)
            raise InputError("a box: left, top, right, bottom in pixels", f"{came} came", "right of left, below top")
        self._source = source
        self._box = box

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self._source.classes

    def __len__(self) -> int:
        return len(self._source)

    def key(self, index: int) -> str:
        return self._source.key(index)

    def label(self, index: int) -> int | None:
        return self._source.label(index)

    def digest(self, index: int) -> str:
        return f"{self._source.digest(index)} {self._box}"

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """The part of one picture, at full size, since the box counts its pixels.

        Raises:
            BrokenPictureError: the picture cannot be decoded.
            InputError: nothing of the box lies within it.
        """
        del min_side_px
        whole = self._source.read(index)
        height, width = whole.picture.shape[:2]
        left, top, right, bottom = self._box
        first_x, last_x = max(int(np.floor(left)), 0), min(int(np.ceil(right)), width)
        first_y, last_y = max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), height)
        if first_x >= last_x or first_y >= last_y:
            raise InputError(
                f"a box within {whole.key}, {width} x {height} pixels",
                " ".join(f"{number:g}" for number in self._box) + " came",
                "give left, top, right, bottom in pixels of the picture",
            )
        part = whole.picture[first_y:last_y, first_x:last_x]
        return replace(whole, picture=np.ascontiguousarray(part), captions=(), truth=None, questions=(), edit=None)
