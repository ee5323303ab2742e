"""`ViewSpec`: how one augmented view of a picture is drawn; `Views`: a batch of them.

An objective names the views it wants as data (the augmentation is part of a paper's method); `data.augment` samples
the parameters and executes them. The two rooms never import each other.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Int64, UInt8
from pydantic import Field, model_validator
from torch import Tensor

from chiasm.core.config import Config


class ColourJitter(Config):
    """Strengths as in the SimCLR paper: factors from [1 - s, 1 + s], hue shift as a share of the colour circle."""

    probability: float = Field(default=0.8, ge=0, le=1)
    brightness: float = Field(default=0.8, ge=0)
    contrast: float = Field(default=0.8, ge=0)
    saturation: float = Field(default=0.8, ge=0)
    hue: float = Field(default=0.2, ge=0, le=0.5)


class Blur(Config):
    """Gaussian blur; sigma is given for a picture of 224 px and scales with the view's size."""

    probability: float = Field(default=0.5, ge=0, le=1)
    min_sigma_px: float = Field(default=0.1, gt=0)
    max_sigma_px: float = Field(default=2.0, gt=0)


class ViewSpec(Config):
    """One view: random resized crop, flip, colour jitter, grey, blur, solarise, in this order.

    Attributes:
        size_px: side of the square view.
        min_area, max_area: share of the picture's area that the crop covers.
        min_aspect, max_aspect: width / height of the crop, drawn log-uniformly.
        flip, grey, solarise: probabilities.
    """

    size_px: int = Field(gt=0)
    min_area: float = Field(default=0.08, gt=0, le=1)
    max_area: float = Field(default=1.0, gt=0, le=1)
    min_aspect: float = Field(default=3 / 4, gt=0)
    max_aspect: float = Field(default=4 / 3, gt=0)
    flip: float = Field(default=0.5, ge=0, le=1)
    jitter: ColourJitter | None = ColourJitter()
    grey: float = Field(default=0.2, ge=0, le=1)
    blur: Blur | None = Blur()
    solarise: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> ViewSpec:
        if self.min_area > self.max_area or self.min_aspect > self.max_aspect:
            raise ValueError("min_area and min_aspect must not exceed max_area and max_aspect")
        return self


class Views(NamedTuple):
    """A batch of augmented views.

    A named tuple, because lightning-fabric looks into those on the way to a device and refuses frozen dataclasses.

    Attributes:
        images: one tensor per view spec, in the order the objective named them; RGB 0 to 255. Row b of every view is
            made from the same picture.
        indices: which example of the source each row comes from.
    """

    images: tuple[UInt8[Tensor, "B 3 _ _"], ...]
    indices: Int64[Tensor, " B"]
