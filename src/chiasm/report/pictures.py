"""Pictures on a page: arrays to data URIs, thumbnails, overlays of masks and boxes, sheets with marks.

Pixels are RGB `uint8`, rows from the top. Encoded pictures carry no metadata, so equal pixels give equal text.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFilter

from chiasm.report import palette
from chiasm.report._templates import render

_EXACT_AREA_PX = 64 * 64
_MAX_DRAWING_COLOURS = 256
_TINY_SIDE_PX = 64
_WEBP_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Mark:
    """A verdict on a picture, told by border, symbol and a word for those who do not see it.

    Attributes:
        word: what a screen reader says.
        symbol: what stands in the corner.
        style: class of the style sheet that sets the border.
    """

    word: str
    symbol: str
    style: str


CORRECT = Mark("correct", "✓", "is-right")
WRONG = Mark("wrong", "✗", "is-wrong")
QUERY = Mark("query", "Q", "is-query")


@dataclass(frozen=True, slots=True)
class Swatch:
    """A name and the colour (`#rrggbb`) that stands for it in a picture."""

    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as a page holds it; usually made by `Picture.of`.

    Attributes:
        uri: the encoded pixels as a data URI.
        width_px, height_px: of the encoded pixels.
        alt: what the picture shows, for those who do not see it.
        caption: text below it.
        mark: a verdict, shown as a border and a symbol.
        legend: what the colours in it stand for.
    """

    uri: str
    width_px: int
    height_px: int
    alt: str
    caption: str = ""
    mark: Mark | None = None
    legend: Sequence[Swatch] = ()

    @classmethod
    def of(
        cls,
        pixels: UInt8[np.ndarray, "H W 3"],
        alt: str,
        caption: str = "",
        mark: Mark | None = None,
        legend: Sequence[Swatch] = (),
        max_side_px: int = 640,
    ) -> Picture:
        """Encode pixels; a picture with a side longer than `max_side_px` is made smaller first."""
        small = thumbnail(pixels, max_side_px)
        return cls(data_uri(small), small.shape[1], small.shape[0], alt, caption, mark, legend)

    @property
    def is_tiny(self) -> bool:
        """Whether its pixels are to be seen as squares when it is enlarged."""
        return max(self.width_px, self.height_px) <= _TINY_SIDE_PX

    def __html__(self) -> str:
        return render("blocks.html", "picture", self)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures in their own proportions, as many side by side as find room at `min_width_px`."""

    items: Sequence[Picture]
    caption: str = ""
    min_width_px: int = 260

    def __html__(self) -> str:
        return render("blocks.html", "pictures", self, "natural")


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """Many pictures in equal square frames with their captions below."""

    items: Sequence[Picture]
    caption: str = ""
    min_width_px: int = 104

    def __html__(self) -> str:
        return render("blocks.html", "pictures", self, "sheet")


def data_uri(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    """Encode a picture: without loss as PNG where it is small or a drawing of few colours, else as WebP."""
    image = Image.fromarray(pixels)
    if image.width * image.height <= _EXACT_AREA_PX or image.getcolors(_MAX_DRAWING_COLOURS) is not None:
        return _uri("image/png", _encoded(image, "PNG", optimize=True))
    return _uri("image/webp", _encoded(image, "WEBP", quality=_WEBP_QUALITY, method=4))


def thumbnail(pixels: UInt8[np.ndarray, "H W 3"], max_side_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The picture with its longer side at most `max_side_px`; never enlarged."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer <= max_side_px:
        return pixels
    size = (max(1, round(width * max_side_px / longer)), max(1, round(height * max_side_px / longer)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def square_thumbnail(pixels: UInt8[np.ndarray, "H W 3"], side_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The central square of the picture, `side_px` wide; smaller pictures are enlarged."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    centre = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(centre.resize((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=3.0))


def mosaic(pictures: UInt8[np.ndarray, "B H W 3"], num_columns: int, gap_px: int = 1) -> UInt8[np.ndarray, "_ _ 3"]:
    """Equal pictures tiled row by row into one; gaps and empty places are grey.

    Raises:
        ValueError: there is no picture or no column.
    """
    num_pictures, height, width, _ = pictures.shape
    if num_pictures == 0 or num_columns < 1:
        raise ValueError(f"a mosaic needs pictures and columns, but got {num_pictures} and {num_columns}")
    num_rows = -(-num_pictures // num_columns)
    shape = (num_rows * (height + gap_px) - gap_px, num_columns * (width + gap_px) - gap_px, 3)
    canvas = np.full(shape, 128, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // num_columns * (height + gap_px), index % num_columns * (width + gap_px)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def overlay(
    pixels: UInt8[np.ndarray, "H W 3"],
    masks: Bool[np.ndarray, "M H W"],
    colours: Sequence[tuple[int, int, int]] | None = None,
    opacity: float = 0.45,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay masks over a picture in distinct colours, with an opaque line along the edge of each.

    Args:
        pixels: RGB, 0 to 255.
        masks: later ones lie above earlier ones.
        colours: RGB of each mask, 0 to 255; by default those of `palette.distinct`.
        opacity: of the inner part, 0 to 1.
    """
    tints = palette.distinct(len(masks)) if colours is None else colours
    painted = pixels.astype(np.float32)
    edge_width_px = max(1, round(max(pixels.shape[:2]) / 240))
    for mask, tint in zip(masks, tints, strict=True):
        tint_row = np.asarray(tint, dtype=np.float32)
        painted[mask] += opacity * (tint_row - painted[mask])
        painted[mask & ~_eroded(mask, edge_width_px)] = tint_row
    return np.rint(painted).astype(np.uint8)


def outlined(
    pixels: UInt8[np.ndarray, "H W 3"],
    boxes: Float[np.ndarray, "M 4"],
    colours: Sequence[tuple[int, int, int]] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw boxes over a picture.

    Args:
        pixels: RGB, 0 to 255.
        boxes: `xyxy` in pixels; right and bottom edges are exclusive.
        colours: RGB of each box, 0 to 255; by default those of `palette.distinct`.
    """
    tints = palette.distinct(len(boxes)) if colours is None else colours
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    line_width_px = max(1, round(max(image.size) / 160))
    for (left, top, right, bottom), tint in zip(boxes.tolist(), tints, strict=True):
        # Pillow wants corners in order; a box thinner than a pixel is drawn as a line.
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=tint, width=line_width_px)
    return np.asarray(image)


def swatches(names: Sequence[str]) -> tuple[Swatch, ...]:
    """A legend for `overlay` and `outlined` in their default colours, in the same order."""
    tints = palette.distinct(len(names))
    return tuple(Swatch(name, palette.hexadecimal(tint)) for name, tint in zip(names, tints, strict=True))


def _eroded(mask: Bool[np.ndarray, "H W"], width_px: int) -> Bool[np.ndarray, "H W"]:
    image = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MinFilter(2 * width_px + 1))).astype(bool)


def _encoded(image: Image.Image, kind: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
