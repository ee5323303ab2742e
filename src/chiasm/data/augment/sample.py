"""The one sampler of augmentation: what happens to each view, drawn before any picture is open.

`sample` draws everything that a `ViewSpec` leaves to chance for a batch of pictures at once. Nothing drawn depends on
the pictures: crops are shares of an area and aspect ratios, which `ViewDraws.crop` turns into pixels once the size of a
picture is known. So the resolution that a picture must be decoded at is known before it is read, and the same draws can
be executed one picture at a time on a CPU (`augment.cpu`) or batched on a GPU (`augment.batched`).

Paper: random resized crop: Szegedy et al., 2015, arXiv 1409.4842, section 6, with the ten tries and the centred
    fallback that torchvision made customary; colour jitter, grey, blur: Chen et al., 2020, arXiv 2002.05709, appendix
    A; solarise: Grill et al., 2020, arXiv 2006.07733, appendix B.
Differs: the ten tries of a crop share one position (a share of the free room), where torchvision draws the position
    after the accepted try: the distribution is the same. Blur is cut off at three sigma, its weights are rounded to
    1/256 with their sum kept at 1, and a sigma too small to move any pixel by half a level is left out. For colour see
    `augment.colour`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from chiasm.core.views import Blur, ColourJitter, ViewSpec
from chiasm.data.augment import colour

NUM_TRIES = 10
# Sigmas in a `Blur` are meant for pictures of this side.
BLUR_REFERENCE_PX = 224
# Below this sigma the neighbours weigh less than 3.4e-4 each, which cannot move a value of 0 to 255 by half a level.
_SMALLEST_SIGMA_PX = 0.25
# Aspect ratios (width / height) of the pictures for which `needed_sides_px` promises enough pixels.
_USUAL_ASPECTS = (1 / 2, 2.0)
_NO_JITTER = ColourJitter(probability=0)
# Uniform numbers that one view uses up: tries, position, flip, solarise, two for the blur, six for the colours.
_NUM_CHOICES = 2 * NUM_TRIES + 12


@dataclass(frozen=True, slots=True)
class Crop:
    """A box on the pixel grid of one picture."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class ViewDraws:
    """All that was left to chance in one view of each of B pictures.

    Attributes:
        size_px: side of the square view.
        areas: share of the picture's area, one per try (S tries).
        aspects: width / height of the crop, one per try.
        places: horizontal and vertical position of the crop, as a share (0 to 1) of the room it leaves.
        aspect_range: the narrowest and the widest crop, for the fallback.
        flips: mirrored left to right.
        recolours: False where the colours stay as they are.
        colours: the affine map of the colours.
        blur_radii_px: how far the blur reaches; 0 where there is none.
        blur_taps: weights of the blur along one axis, centred, zero beyond the row's radius.
        solarises: values from 128 on are inverted.
    """

    size_px: int
    areas: Float[np.ndarray, "B S"]
    aspects: Float[np.ndarray, "B S"]
    places: Float[np.ndarray, "B 2"]
    aspect_range: tuple[float, float]
    flips: Bool[np.ndarray, " B"]
    recolours: Bool[np.ndarray, " B"]
    colours: colour.Recolouring
    blur_radii_px: Int[np.ndarray, " B"]
    blur_taps: Float32[np.ndarray, "B _"]
    solarises: Bool[np.ndarray, " B"]

    def __len__(self) -> int:
        return len(self.flips)

    def crop(self, row: int, height_px: int, width_px: int) -> Crop:
        """The crop of one picture: the first try that fits, else the largest centred box of an allowed aspect."""
        area = height_px * width_px
        right, down = self.places.item(row, 0), self.places.item(row, 1)
        # Numbers are taken out one by one: mostly the first try fits.
        for attempt in range(self.areas.shape[1]):
            cropped, aspect = area * self.areas.item(row, attempt), self.aspects.item(row, attempt)
            width, height = round(math.sqrt(cropped * aspect)), round(math.sqrt(cropped / aspect))
            if 0 < width <= width_px and 0 < height <= height_px:
                left = int(right * (width_px - width + 1))
                return Crop(left, int(down * (height_px - height + 1)), width, height)
        narrowest, widest = self.aspect_range
        aspect = min(max(width_px / height_px, narrowest), widest)
        width = max(1, min(width_px, round(height_px * aspect)))
        height = max(1, min(height_px, round(width_px / aspect)))
        return Crop((width_px - width) // 2, (height_px - height) // 2, width, height)

    def rows(self, which: slice) -> ViewDraws:
        """The draws of some of the pictures."""
        return replace(
            self,
            areas=self.areas[which],
            aspects=self.aspects[which],
            places=self.places[which],
            flips=self.flips[which],
            recolours=self.recolours[which],
            colours=self.colours.rows(which),
            blur_radii_px=self.blur_radii_px[which],
            blur_taps=self.blur_taps[which],
            solarises=self.solarises[which],
        )

    def needed_sides_px(self) -> Int[np.ndarray, " B"]:
        """The shorter side that each picture needs so that its crop is at least `size_px` in both directions.

        A crop of area share a and aspect r has sides of at least sqrt(a / max(r, 1 / r)) of the picture's shorter side.
        Which try is taken depends on the picture's aspect, so the bound covers all tries up to the first one that fits
        every picture between 1:2 and 2:1. More elongated pictures may take a later try, whose crop is then enlarged
        from fewer pixels than the file has.
        """
        low, high = _USUAL_ASPECTS
        sure = (self.areas * self.aspects <= low) & (self.areas * high <= self.aspects)
        after_a_sure_one = np.cumsum(sure, axis=1) - sure > 0
        elongations = np.maximum(self.aspects, 1 / self.aspects)
        sides = self.size_px * np.sqrt(elongations / self.areas)
        return np.ceil(np.where(after_a_sure_one, self.size_px, sides).max(axis=1)).astype(np.int64)


def sample(spec: ViewSpec, num_pictures: int, generator: np.random.Generator, own: slice = slice(None)) -> ViewDraws:
    """Draw one view of each of `num_pictures` pictures.

    The draws of row b do not depend on how many rows follow it. Where only `own` rows are asked for, the others cost
    next to nothing.
    """
    uniform = generator.random((num_pictures, _NUM_CHOICES))[own]
    areas, aspects, rest = np.split(uniform, [NUM_TRIES, 2 * NUM_TRIES], axis=1)
    flip, solarise, blur, sigma = rest[:, 2:6].T
    recolours, colours = _draw_colours(spec, rest[:, 6:])
    radii, taps = _draw_blur(spec.blur, spec.size_px, blur, sigma)
    low, high = math.log(spec.min_aspect), math.log(spec.max_aspect)
    return ViewDraws(
        size_px=spec.size_px,
        areas=spec.min_area + (spec.max_area - spec.min_area) * areas,
        aspects=np.exp(low + (high - low) * aspects),
        places=rest[:, :2],
        aspect_range=(spec.min_aspect, spec.max_aspect),
        flips=flip < spec.flip,
        recolours=recolours,
        colours=colours,
        blur_radii_px=radii,
        blur_taps=taps,
        solarises=solarise < spec.solarise,
    )


def _draw_colours(
    spec: ViewSpec, uniform: Float[np.ndarray, "B 6"]
) -> tuple[Bool[np.ndarray, " B"], colour.Recolouring]:
    """Which views change their colours, and how."""
    greys = uniform[:, 0] < spec.grey
    jitter = spec.jitter or _NO_JITTER
    jitters = uniform[:, 1] < jitter.probability
    brightness, contrast, saturation = (
        np.where(jitters, _factors(strength, uniform[:, 2 + place]), 1.0)
        for place, strength in enumerate((jitter.brightness, jitter.contrast, jitter.saturation))
    )
    hue = np.where(jitters, jitter.hue * (2 * uniform[:, 5] - 1), 0.0)
    # Grey is what no saturation gives.
    return jitters | greys, colour.recolour(brightness, contrast, np.where(greys, 0.0, saturation), hue)


def _factors(strength: float, uniform: Float[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    """Factors from [1 - strength, 1 + strength], never negative."""
    low, high = max(0.0, 1 - strength), 1 + strength
    return low + (high - low) * uniform


def _draw_blur(
    blur: Blur | None, size_px: int, chosen: Float[np.ndarray, " B"], uniform: Float[np.ndarray, " B"]
) -> tuple[Int[np.ndarray, " B"], Float32[np.ndarray, "B _"]]:
    """Radii and weights of the blur of each view."""
    if blur is None:
        return np.zeros(len(uniform), dtype=np.int64), np.ones((len(uniform), 1), dtype=np.float32)
    scale = size_px / BLUR_REFERENCE_PX
    sigmas = scale * (blur.min_sigma_px + (blur.max_sigma_px - blur.min_sigma_px) * uniform)
    # The blur mirrors the view at its border, which cannot reach further than the view is wide.
    radii = np.clip(np.ceil(3 * sigmas), 1, size_px - 1).astype(np.int64)
    radii[(chosen >= blur.probability) | (sigmas < _SMALLEST_SIGMA_PX)] = 0
    return radii, blur_taps(sigmas, radii)


def blur_taps(sigmas_px: Float[np.ndarray, " B"], radii_px: Int[np.ndarray, " B"]) -> Float32[np.ndarray, "B _"]:
    """Gaussian weights in multiples of 1/256 that sum to 1, so that 8-bit arithmetic gives exact results.

    Args:
        sigmas_px: above 0.
        radii_px: taps further than this from the centre are 0.
    """
    offsets = np.arange(-radii_px.max(), radii_px.max() + 1)
    weights = np.exp(-0.5 * (offsets / sigmas_px[:, None]) ** 2) * (abs(offsets) <= radii_px[:, None])
    # Sums from the outside in are rounded, not the weights: rounding errors cannot pile up in the centre, and a blur so
    # wide that each weight is below 1/256 still is one.
    shares = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    left = np.diff(np.round(256 * shares[:, : len(offsets) // 2]), axis=1, prepend=0)
    centre = 256 - 2 * left.sum(axis=1, keepdims=True)
    return (np.hstack([left, centre, left[:, ::-1]]) / 256).astype(np.float32)
