"""Marks of points as polygons, so that a page and a picture draw the same."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_CIRCLE_CORNERS = 16
_ARM = 0.36


def _regular(num_corners: int, turn: float) -> Float[np.ndarray, "_ 2"]:
    angles = 2 * np.pi * (np.arange(num_corners) / num_corners + turn)
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


_PLUS = np.array(
    [(-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM)]
    + [(_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM)]
)

CORNERS: dict[str, Float[np.ndarray, "_ 2"]] = {
    "o": _regular(_CIRCLE_CORNERS, 0),
    "s": _regular(4, 0.125),
    "^": _regular(3, 0),
    "D": _regular(4, 0),
    "v": _regular(3, 0.5),
    "P": _PLUS,
}
"""Corners around the middle, `xy` with y downwards, of the shapes by which classes are told apart; as large as 1."""


def path_of(shape: str, size: float) -> str:
    """The mark as the path of an SVG, around 0."""
    corners = "L".join(f"{x:.1f} {y:.1f}" for x, y in (size * CORNERS[shape]).tolist())
    return f"M{corners}Z"
