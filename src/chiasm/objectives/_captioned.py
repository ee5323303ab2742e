"""How objectives that learn from captions see a picture.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4 (a square cut at random is all that pictures go through).
"""

from __future__ import annotations

from chiasm.core.views import ViewSpec


def nearly_all(size_px: int, min_area: float) -> ViewSpec:
    """A view of most of a picture, neither mirrored nor recoloured: captions tell places and colours.

    Args:
        size_px: side of the view.
        min_area: smallest share of the picture that is seen.
    """
    return ViewSpec(size_px=size_px, min_area=min_area, flip=0.0, jitter=None, grey=0.0, blur=None)
