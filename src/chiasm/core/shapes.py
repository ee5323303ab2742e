"""The shape alphabet: one letter per axis, the same in every signature.

Signatures use jaxtyping, e.g. `Float[Tensor, "B N D"]`; a single axis is written with a leading blank (`" N"`). The
annotations are executed in the tests (jaxtyping's import hook with beartype) and cost nothing in production.
"""

from __future__ import annotations

ALPHABET: dict[str, str] = {
    "B": "batch: examples that are processed together",
    "V": "views: augmented versions of one picture",
    "C": "channels of a picture or feature map",
    "H": "height in pixels",
    "W": "width in pixels",
    "h": "height of the patch grid",
    "w": "width of the patch grid",
    "N": "patch tokens (all of them, or the visible subset)",
    "P": "prefix tokens: class token and registers",
    "T": "text tokens",
    "D": "width of a token or embedding",
    "E": "width of a joint or projected space",
    "K": "classes or prototypes",
    "Q": "queries",
    "M": "masks, boxes or objects",
    "A": "attention heads",
    "S": "samples of a statistic (bootstrap draws, points of a curve)",
    "R": "gallery: the reference set that queries are compared with",
}
