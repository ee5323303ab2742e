"""How alike near-duplicates are to a model, measured on pictures that were altered on purpose.

A cosine of 0.95 is "the same picture" to one model and "two pictures of dogs" to another, and to a third all pictures
of a folder are above it. So a threshold is not a constant: some of the pictures at hand are altered as copies usually
are (saved again at half the size, a little cut off, brighter), and the model shows how far that moves their vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from chiasm.core.example import Example, Source, Subset
from chiasm.core.predictors import Embeddings, Encoder
from chiasm.core.seeds import stream

# Pictures that are altered, each in every way, and pictures of which all pairs are compared.
_NUM_ALTERED, _NUM_COMPARED = 64, 512
# Of the altered copies, so many are to be found.
_FOUND = 0.95
_QUALITY, _CUT, _BRIGHTER = 60, 0.03, 1.15

Alteration = Callable[[UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "_ _ 3"]]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What was measured.

    Attributes:
        altered: cosines between pictures and their altered copies.
        chance: cosines between pictures drawn at random.
    """

    altered: Float[np.ndarray, " _"]
    chance: Float[np.ndarray, " _"]

    def threshold(self) -> float:
        """The highest cosine at which 95 % of the altered copies are found."""
        return float(np.quantile(self.altered, 1 - _FOUND, method="lower"))


def share_above(cosines: Float[np.ndarray, " S"], threshold: float) -> float:
    """Share of the cosines that reach a threshold; 0 where there are none."""
    return float((cosines >= threshold).mean()) if len(cosines) else 0.0


def measure(model: Encoder, data: Source, found: Embeddings, seed: int) -> Likeness:
    """Alter some of the pictures and compare.

    Args:
        model: the encoder.
        data: the pictures.
        found: their vectors, at least two.
        seed: draws the pictures.
    """
    drawn = stream(seed, "duplicates").permutation(len(found.keys))
    rows = {found.keys[row]: row for row in drawn[:_NUM_ALTERED].tolist()}
    positions = [position for position in range(len(data)) if data.key(position) in rows]
    cosines = []
    for alteration in (resaved, cut, brightened):
        altered = model.embed(Altered(Subset(data, positions, data.name), alteration))
        originals = found.vectors[[rows[key] for key in altered.keys]]
        cosines.append((altered.vectors * originals).sum(axis=1))
    some = found.vectors[drawn[:_NUM_COMPARED]]
    return Likeness(np.concatenate(cosines), (some @ some.T)[np.triu_indices(len(some), 1)])


class Altered(Subset):
    """Pictures of a source, each altered in the same way."""

    def __init__(self, source: Source, alteration: Alteration) -> None:
        super().__init__(source, range(len(source)), source.name)
        self._alteration = alteration

    def digest(self, index: int) -> str:
        """Another than the original's."""
        return f"{super().digest(index)} {self._alteration.__qualname__}"

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read at full size, since that is what people alter, and alter.

        Raises:
            BrokenPictureError: the picture cannot be decoded.
        """
        del min_side_px
        example = super().read(index)
        return replace(example, picture=self._alteration(example.picture))


def resaved(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """At half the size, through JPEG of quality 60."""
    image = Image.fromarray(picture)
    half = image.resize((max(image.width // 2, 1), max(image.height // 2, 1)), Image.Resampling.BOX)
    stored = BytesIO()
    half.save(stored, "jpeg", quality=_QUALITY)
    return np.asarray(Image.open(stored).convert("RGB"))


def cut(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Without 3 % at each edge."""
    height, width, _ = picture.shape
    down, right = round(height * _CUT), round(width * _CUT)
    return picture[down : height - down, right : width - right]


def brightened(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Each value times 1.15."""
    table = np.minimum(np.arange(256) * _BRIGHTER, 255).round().astype(np.uint8)
    return table[picture]
