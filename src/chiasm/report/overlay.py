"""A heat map over its picture, with a legend: what `explain` draws.

The picture is kept in grey, so that every colour is heat; what the model did not see is darkened. Heat is drawn on the
scale of the one picture, from nothing to its hottest patch, and lets more of the picture through the less there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from chiasm.report import palette

Box = tuple[float, float, float, float]

_GREY = np.array([0.299, 0.587, 0.114])
_MOST_OPAQUE = 0.8
_UNSEEN_LIGHT = 0.35
_WIDTH_OF_LEGEND_PX = 360
_MARGIN_PX = 12
_TITLE_PX, _NOTE_PX, _BAR_PX = 20, 14, 10


@dataclass(frozen=True, slots=True)
class HeatOverlay:
    """Implements `core.explaining.HeatPainter`.

    Attributes:
        min_side_px, max_side_px: what the longer side of the picture is brought to, if it is below or above.
    """

    min_side_px: int = 480
    max_side_px: int = 1280

    def __call__(
        self, picture: UInt8[np.ndarray, "H W 3"], heat: Float[np.ndarray, "h w"], box: Box, title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture in grey with its heat in colours, and below it what is explained and what the colours mean.

        Args:
            picture: RGB, 0 to 255.
            heat: of each patch, at least 0.
            box: the part of the picture that the patches cover, `xyxy` in its pixels; it may reach beyond.
            title: what is explained.
            note: further facts, in small print.
        """
        scaled, factor = self._scaled(picture)
        drawn = blended(scaled, heat, (box[0] * factor[0], box[1] * factor[1], box[2] * factor[0], box[3] * factor[1]))
        return with_heat_scale(captioned(drawn, title, note))

    def _scaled(self, picture: UInt8[np.ndarray, "H W 3"]) -> tuple[UInt8[np.ndarray, "_ _ 3"], tuple[float, float]]:
        """The picture in the size in which it is shown, and by what width and height grew."""
        height, width, _ = picture.shape
        longer = max(height, width)
        wanted = min(max(longer, self.min_side_px), self.max_side_px)
        size = max(round(width * wanted / longer), 1), max(round(height * wanted / longer), 1)
        if size == (width, height):
            return picture, (1.0, 1.0)
        shown = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return np.asarray(shown), (size[0] / width, size[1] / height)


def blended(
    picture: UInt8[np.ndarray, "H W 3"], heat: Float[np.ndarray, "h w"], box: Box
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture in grey with its heat in colours, darkened where no patch lies.

    Args:
        picture: RGB, 0 to 255.
        heat: of each patch, at least 0; its greatest value gets the last colour.
        box: the part of the picture that the patches cover, `xyxy` in its pixels.
    """
    height, width, _ = picture.shape
    smooth = spread(heat, (height, width), box)
    level = smooth / max(float(heat.max()), 1e-30)
    grey = np.repeat((picture @ _GREY)[..., None], 3, axis=2)
    painted = _coloured(grey, level.clip(0, 1))
    seen = _inside(height, box[1], box[3])[:, None] & _inside(width, box[0], box[2])
    painted = np.where(seen[..., None], painted, _UNSEEN_LIGHT * grey)
    return np.rint(painted).astype(np.uint8)


def spread(heat: Float[np.ndarray, "h w"], size: tuple[int, int], box: Box) -> Float[np.ndarray, "H W"]:
    """A value for every pixel: cubic between the middles of the patches (Catmull and Rom), never below 0.

    Args:
        heat: of each patch.
        size: height and width in pixels.
        box: the part of these pixels that the patches cover, `xyxy`; beyond it the values at its edge go on.
    """
    rows = _weights(size[0], box[1], box[3], heat.shape[0])
    columns = _weights(size[1], box[0], box[2], heat.shape[1])
    return (rows @ heat @ columns.T).clip(min=0)


def _weights(num_pixels: int, low: float, high: float, num_cells: int) -> Float[np.ndarray, "_ _"]:
    """How much of each cell is in each pixel of a line whose cells lie between two edges."""
    middles = (np.arange(num_pixels) + 0.5 - low) / (high - low) * num_cells - 0.5
    middles = middles.clip(-0.5, num_cells - 0.5)
    first = np.floor(middles).astype(int)
    weights = np.zeros((num_pixels, num_cells))
    for offset in (-1, 0, 1, 2):
        distance = np.abs(middles - first - offset)
        near = 1 - 2.5 * distance**2 + 1.5 * distance**3
        far = 2 - 4 * distance + 2.5 * distance**2 - 0.5 * distance**3
        # Cells beyond the edge are taken to be like the last one.
        np.add.at(
            weights,
            (np.arange(num_pixels), (first + offset).clip(0, num_cells - 1)),
            np.where(distance < 1, near, far),
        )
    return weights


def _inside(num_pixels: int, low: float, high: float) -> np.ndarray:
    middles = np.arange(num_pixels) + 0.5
    return (middles >= low) & (middles <= high)


def _coloured(grey: Float[np.ndarray, "H W 3"], level: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    """Heat from 0 to 1 laid over grey, the more opaque the more there is."""
    ramp = palette.heat()
    colours = ramp[np.rint(level * (len(ramp) - 1)).astype(int)]
    opacity = _MOST_OPAQUE * np.sqrt(level)[..., None]
    return grey + opacity * (colours - grey)


def captioned(drawn: UInt8[np.ndarray, "H W 3"], title: str, note: str) -> UInt8[np.ndarray, "_ _ 3"]:
    """The drawing with a strip below it: title and note, cut off where they are too long."""
    height, width, _ = drawn.shape
    whole = max(width, _WIDTH_OF_LEGEND_PX)
    strip = 2 * _MARGIN_PX + _TITLE_PX + _MARGIN_PX // 2 + _NOTE_PX
    canvas = Image.new("RGB", (whole, height + strip), palette.PAPER.light)
    canvas.paste(Image.fromarray(drawn), ((whole - width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    top = height + _MARGIN_PX
    for text, size, colour in ((title, _TITLE_PX, palette.INK.light), (note, _NOTE_PX, palette.SOFT.light)):
        font = ImageFont.load_default(size)
        pen.text((_MARGIN_PX, top), _cut(text, font, whole - 2 * _MARGIN_PX), fill=colour, font=font)
        top += size + _MARGIN_PX // 2
    return np.asarray(canvas)


def with_heat_scale(drawn: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """The drawing with what the colours of heat mean below it."""
    height, width, _ = drawn.shape
    canvas = Image.new("RGB", (width, height + _BAR_PX + _MARGIN_PX), palette.PAPER.light)
    canvas.paste(Image.fromarray(drawn), (0, 0))
    pen = ImageDraw.Draw(canvas)
    small = ImageFont.load_default(_NOTE_PX)
    least, most = "none", "most"
    left = _MARGIN_PX + small.getlength(least) + _MARGIN_PX / 2
    right = width - _MARGIN_PX - small.getlength(most) - _MARGIN_PX / 2
    level = np.repeat(np.linspace(0, 1, round(right - left))[None], _BAR_PX, axis=0)
    bar = _coloured(np.full((*level.shape, 3), 128.0), level)
    canvas.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (round(left), height))
    middle = height + _BAR_PX / 2
    pen.text((_MARGIN_PX, middle), least, fill=palette.SOFT.light, font=small, anchor="lm")
    pen.text((width - _MARGIN_PX, middle), most, fill=palette.SOFT.light, font=small, anchor="rm")
    return np.asarray(canvas)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room_px: float) -> str:
    """The text, with its end left out where it is too long."""
    if font.getlength(text) <= room_px:
        return text
    kept = text
    while kept and font.getlength(f"{kept}...") > room_px:
        kept = kept[:-1]
    return f"{kept}..."
