"""`ViewSpec`: how one augmented view of a picture is drawn, `TextSpec`: which text goes with it; `Views`: a batch.

An objective names the views and texts it wants as data (the augmentation is part of a paper's method); `data.augment`
samples the parameters and executes them. The two rooms never import each other.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from jaxtyping import Bool, Int64, UInt8
from pydantic import Field, model_validator
from torch import Tensor

from chiasm.core.config import Config
from chiasm.core.errors import InputError


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


class RandomMask(Config):
    """Hides the same number of places of every picture, drawn evenly (MAE, SimMIM).

    Attributes:
        ratio: share of the places that are hidden.
        unit: side, in patches, of the square that is hidden or shown as one.
    """

    kind: Literal["random"] = "random"
    ratio: float = Field(default=0.75, gt=0, lt=1)
    unit: int = Field(default=1, gt=0)


class BlockMask(Config):
    """Hides rectangles in a part of the pictures (BEiT, iBOT, DINOv2).

    Attributes:
        pictures: share of the pictures of a batch in which anything is hidden; one at least, unless it is 0.
        min_ratio, max_ratio: share of the patches that is hidden in those, spread evenly from the one to the other over
            the pictures of a batch in random order.
        min_patches: of one rectangle.
        min_aspect, max_aspect: height / width of a rectangle, drawn log-uniformly.
    """

    kind: Literal["blocks"] = "blocks"
    pictures: float = Field(default=0.5, ge=0, le=1)
    min_ratio: float = Field(default=0.1, ge=0, lt=1)
    max_ratio: float = Field(default=0.5, ge=0, lt=1)
    min_patches: int = Field(default=4, gt=0)
    min_aspect: float = Field(default=0.3, gt=0)
    max_aspect: float = Field(default=1 / 0.3, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> BlockMask:
        for name in ("ratio", "aspect"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if least > most:
                came = f"{least} and {most} came"
                raise InputError(f"a min_{name} of masks that does not exceed their max_{name}", came, "change one")
        return self


AnyMask = Annotated[RandomMask | BlockMask, Field(discriminator="kind")]


class Masking(Config):
    """Which patches of a view are hidden from the trunk.

    Attributes:
        how: the rule.
        grid: patches along each side of the view.
    """

    how: AnyMask
    grid: int = Field(gt=0)


class ViewSpec(Config):
    """One view: random resized crop, flip, colour jitter, grey, blur, solarise, in this order.

    Attributes:
        size_px: side of the square view.
        min_area, max_area: share of the picture's area that the crop covers.
        min_aspect, max_aspect: width / height of the crop, drawn log-uniformly.
        flip, grey, solarise: probabilities.
        masking: which patches are hidden; None hides nothing.
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
    masking: Masking | None = None

    @model_validator(mode="after")
    def _in_order(self) -> ViewSpec:
        if self.min_area > self.max_area or self.min_aspect > self.max_aspect:
            raise ValueError("min_area and min_aspect must not exceed max_area and max_aspect")
        return self


Phrasing = Literal["marked", "own", "spoken"]


class TextSpec(Config):
    """One text of each picture.

    Attributes:
        what: "caption": one of the picture's captions, drawn anew each time; "answer": one of the questions about it
            with its answer.
        phrases: "marked": between marks of our own vocabularies; "own": as the vocabulary itself puts a text, which a
            public one knows; "spoken": as a Flamingo is asked (`data.phrases`).
        length: tokens of every text; longer ones are cut, shorter ones filled up.
    """

    what: Literal["caption", "answer"] = "caption"
    phrases: Phrasing = "marked"
    length: int = Field(gt=1)


class Texts(NamedTuple):
    """One text of each picture of a batch.

    Attributes:
        tokens: their numbers.
        told: which tokens say something that the ones before them do not give away: all of a caption but its start
            token, those of an answer but not of its question; its end token belongs to it.
    """

    tokens: Int64[Tensor, "B T"]
    told: Bool[Tensor, "B T"]

    def cut(self) -> Texts:
        """The same without the last places, where they only fill up all texts."""
        length = int(self.told.any(dim=0).nonzero().max()) + 1 if self.told.any() else self.told.shape[1]
        return Texts(self.tokens[:, :length], self.told[:, :length])


class Views(NamedTuple):
    """A batch of augmented views.

    A named tuple, because lightning-fabric looks into those on the way to a device and refuses frozen dataclasses.

    Attributes:
        images: one tensor per view spec, in the order the objective named them; RGB 0 to 255. Row b of every view is
            made from the same picture.
        indices: which example of the source each row comes from.
        masks: one for each view, True = hidden, row by row; None for views in which nothing is hidden.
        labels: class of each row, -1 where the source tells none; None where nobody asked.
        texts: one for each text spec, in the order the objective named them.
    """

    images: tuple[UInt8[Tensor, "B 3 _ _"], ...]
    indices: Int64[Tensor, " B"]
    masks: tuple[Bool[Tensor, "B _"] | None, ...] = ()
    labels: Int64[Tensor, " B"] | None = None
    texts: tuple[Texts, ...] = ()
