"""The view of methods that need no strong augmentation: crop, flip, light jitter of colours.

Paper: Szegedy et al., 2014, arXiv 1409.4842, section 6 (crops of 8% to 100% of the picture, aspect 3/4 to 4/3); Touvron
et al., 2020, arXiv 2012.12877 (jitter of strength 0.4, in its code).
Differs: eight views of ten are jittered, as SimCLR's are.
"""

from __future__ import annotations

from chiasm.core.views import ColourJitter, ViewSpec


def light_view(size_px: int, min_area: float, colour: float) -> ViewSpec:
    """Such a view.

    Args:
        size_px: its side.
        min_area: smallest share of the picture that it shows.
        colour: strength of the jitter of brightness, contrast and saturation; hues stay.
    """
    jitter = ColourJitter(brightness=colour, contrast=colour, saturation=colour, hue=0.0)
    return ViewSpec(size_px=size_px, min_area=min_area, jitter=jitter, grey=0.0, blur=None)
