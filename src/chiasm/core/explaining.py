"""The numpy side of explanations: what tasks ask of a model about its answers and patches, and of whoever draws them.

Beside `core.predictors`, which holds what tasks ask of a model otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from chiasm.core.example import Source
from chiasm.core.predictors import Encoder

HeatMethod = Literal["relevance", "rollout", "grad-cam"]
"""How a heat map is made: attention that raised the score, attention alone, or patch tokens along the gradient."""


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """How much each part of pictures had to do with an answer, in the source's order.

    Attributes:
        heat: of each patch, row by row from the top left, at least 0; sums to 1 over a picture, or is 0 everywhere
            where nothing spoke for the answer.
        keys: identity of each picture within its source.
        method: how the maps were made.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    heat: Float[np.ndarray, "B h w"]
    keys: tuple[str, ...]
    method: HeatMethod
    skipped: tuple[tuple[str, str], ...] = ()


PatchView = Literal["pca", "heads", "similarity"]
"""How patches are shown: components as colours, attention of each head, or how alike they are to one that is chosen."""


@dataclass(frozen=True, slots=True)
class PatchTokens:
    """What the patches of pictures are to a model, in the source's order.

    Attributes:
        squares: the pictures as the model saw them, RGB, 0 to 255.
        tokens: of each patch, row by row from the top left.
        keys: identity of each picture within its source.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    squares: UInt8[np.ndarray, "B H W 3"]
    tokens: Float[np.ndarray, "B h w D"]
    keys: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HeadMaps:
    """Where each head of a model's last look at pictures looked, in the source's order.

    Attributes:
        squares: the pictures as the model saw them, RGB, 0 to 255.
        attention: of each head, the share that each patch got, row by row from the top left; sums to at most 1 over a
            picture, the rest being that of the tokens before the patches.
        looks: what looked, in words.
        keys: identity of each picture within its source.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    squares: UInt8[np.ndarray, "B H W 3"]
    attention: Float[np.ndarray, "B A h w"]
    looks: str
    keys: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Explainer(Protocol):
    """A model that shows where in a picture its answer comes from.

    Attributes:
        encoder: the model as one that turns pictures into vectors.
    """

    @property
    def encoder(self) -> Encoder: ...

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        """The box (`xyxy` in pixels) of a picture of this size that the patches cover; it may reach beyond it."""
        ...

    def heat(self, source: Source, directions: Float[np.ndarray, "B D"] | None, method: HeatMethod | None) -> HeatMaps:
        """Heat maps of the readable pictures of a source.

        Args:
            source: the pictures.
            directions: for each of them, how a score changes with the numbers of its vector at its own length; None to
                ask what the model looks at, whatever the answer.
            method: how; None for the best that the model allows.

        Raises:
            InputError: the model does not allow the method, or the method needs directions and there are none.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...

    def patches(self, source: Source, size_px: int | None) -> PatchTokens:
        """The patch tokens of the readable pictures of a source, where the trunk ends.

        Args:
            source: the pictures.
            size_px: side of the squares that the model is given; None for the size that it was made for.

        Raises:
            InputError: the trunk does not take this size, or the tokens of all pictures are too many to be kept.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...

    def heads(self, source: Source, size_px: int | None) -> HeadMaps:
        """Where the heads of the last block look from the class token, or those of the pool from its query.

        Args:
            source: the pictures.
            size_px: as of `patches`.

        Raises:
            InputError: no token looks at all patches to make the picture's vector, or as of `patches`.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@runtime_checkable
class HeatPainter(Protocol):
    """Draws heat maps over pictures."""

    def __call__(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        heat: Float[np.ndarray, "h w"],
        box: tuple[float, float, float, float],
        title: str,
        note: str,
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture with its heat map over it and a legend below.

        Args:
            picture: RGB, 0 to 255.
            heat: at least 0.
            box: the part of the picture that the map covers, `xyxy` in its pixels.
            title: what is explained.
            note: further facts, in small print.
        """
        ...


@runtime_checkable
class PatchPainter(Protocol):
    """Draws what patches are to a model."""

    def components(
        self, square: UInt8[np.ndarray, "H W 3"], colours: Float[np.ndarray, "h w 3"], title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture beside its patches in colours.

        Args:
            square: RGB, 0 to 255.
            colours: of each patch, RGB, 0 to 1.
            title: what is shown.
            note: further facts, in small print.
        """
        ...

    def heads(
        self, square: UInt8[np.ndarray, "H W 3"], attention: Float[np.ndarray, "A h w"], title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture and one panel for each head with its attention over it.

        Args:
            square: RGB, 0 to 255.
            attention: of each patch, at least 0; every head is drawn on a scale of its own.
            title: what is shown.
            note: further facts, in small print.
        """
        ...

    def page(self, out: Path, found: PatchTokens, colours: Float[np.ndarray, "B h w 3"], title: str, note: str) -> None:
        """Write a page on which a patch can be chosen to see how alike all others are to it.

        Args:
            out: the file.
            found: pictures and patches.
            colours: of each patch, RGB, 0 to 1.
            title: of the page.
            note: further facts, below the title.

        Raises:
            InputError: the page would be too large, or the place cannot be written.
        """
        ...
