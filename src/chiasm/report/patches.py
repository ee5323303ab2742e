"""What patches are to a model, drawn: components as colours, a panel for each head, a page to choose patches on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from chiasm.core.explaining import PatchTokens
from chiasm.report import palette
from chiasm.report.overlay import blended, captioned, with_heat_scale
from chiasm.report.page import Page, Section
from chiasm.report.pictures import Picture, Pictures
from chiasm.report.similarity import SimilarityFigure

_GAP_PX = 4
_LABEL_PX = 16
_MOST_COLUMNS = 5
_PAGE_PX = 320


@dataclass(frozen=True, slots=True)
class PatchSheets:
    """Implements `core.explaining.PatchPainter`.

    Attributes:
        side_px: of a picture beside its patches; a larger picture keeps its size up to twice that.
        panel_px: side of the panel of a head.
    """

    side_px: int = 360
    panel_px: int = 200

    def components(
        self, square: UInt8[np.ndarray, "H W 3"], colours: Float[np.ndarray, "h w 3"], title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture beside its patches in colours (RGB, 0 to 1), and below what is shown."""
        side_px = min(max(len(square), self.side_px), 2 * self.side_px)
        return captioned(_row([resized(square, side_px), painted(colours, side_px)]), title, note)

    def heads(
        self, square: UInt8[np.ndarray, "H W 3"], attention: Float[np.ndarray, "A h w"], title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture and a panel for each head with its attention over it, each on a scale of its own."""
        small = resized(square, self.panel_px)
        whole = (0.0, 0.0, float(self.panel_px), float(self.panel_px))
        panels = [_labelled(small, "picture")]
        panels += [_labelled(blended(small, one, whole), f"head {place}") for place, one in enumerate(attention, 1)]
        return with_heat_scale(captioned(_sheet(panels), title, note))

    def page(self, out: Path, found: PatchTokens, colours: Float[np.ndarray, "B h w 3"], title: str, note: str) -> None:
        """Write a page on which a patch can be chosen to see how alike all others are to it.

        Raises:
            InputError: the page would be too large, or the place cannot be written.
            MissingExtraError: jinja2 is not installed.
        """
        page = Page(title=title, subtitle=note)
        page.add(
            Section("Patches that are alike").add(similarity(found)),
            Section(
                "Components of patches",
                "The first three principal components of the patches of all pictures together as red, green and blue: "
                "patches of like colours are alike to the model, within a picture and from one to the other.",
            ).add(component_pictures(found, colours)),
        )
        page.write(out)


def similarity(found: PatchTokens, start: tuple[int, int, int] | None = None) -> SimilarityFigure:
    """The block of a page on which a patch can be chosen.

    Args:
        found: pictures and patches.
        start: picture, row and column of the patch that is chosen at first; by default in the middle of the first one.

    Raises:
        InputError: the vectors are too many for a page.
    """
    rows, columns = found.tokens.shape[1:3]
    items = [
        Picture.of(square, key, key, max_side_px=_PAGE_PX)
        for square, key in zip(found.squares, found.keys, strict=True)
    ]
    return SimilarityFigure.of(items, found.tokens, start or (0, rows // 2, columns // 2))


def component_pictures(found: PatchTokens, colours: Float[np.ndarray, "B h w 3"]) -> Pictures:
    """The block of a page that shows every picture beside its patches in colours."""
    items = []
    for square, one, key in zip(found.squares, colours, found.keys, strict=True):
        both = _row([resized(square, _PAGE_PX), painted(one, _PAGE_PX)])
        items.append(Picture.of(both, f"{key}, and its patches in the colours of their components", key))
    return Pictures(items, min_width_px=_PAGE_PX)


def painted(colours: Float[np.ndarray, "h w 3"], side_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Patches as plain squares of their colours (RGB, 0 to 1)."""
    cells = Image.fromarray(np.rint(255 * colours).astype(np.uint8))
    return np.asarray(cells.resize((side_px, side_px), Image.Resampling.NEAREST))


def resized(square: UInt8[np.ndarray, "H W 3"], side_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """A square picture in another size."""
    return np.asarray(Image.fromarray(square).resize((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _labelled(panel: UInt8[np.ndarray, "H W 3"], label: str) -> UInt8[np.ndarray, "_ _ 3"]:
    """A panel with its name above it."""
    height, width, _ = panel.shape
    canvas = Image.new("RGB", (width, height + _LABEL_PX), palette.PAPER.light)
    canvas.paste(Image.fromarray(panel), (0, _LABEL_PX))
    font = ImageFont.load_default(_LABEL_PX - 4)
    ImageDraw.Draw(canvas).text((0, 0), label, fill=palette.SOFT.light, font=font)
    return np.asarray(canvas)


def _row(panels: list[UInt8[np.ndarray, "H W 3"]]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Panels side by side."""
    return _tiled(panels, len(panels))


def _sheet(panels: list[UInt8[np.ndarray, "H W 3"]]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Panels in rows that are as even as they can be."""
    num_rows = -(-len(panels) // _MOST_COLUMNS)
    return _tiled(panels, -(-len(panels) // num_rows))


def _tiled(panels: list[UInt8[np.ndarray, "H W 3"]], num_columns: int) -> UInt8[np.ndarray, "_ _ 3"]:
    height, width, _ = panels[0].shape
    num_rows = -(-len(panels) // num_columns)
    size = num_columns * (width + _GAP_PX) - _GAP_PX, num_rows * (height + _GAP_PX) - _GAP_PX
    canvas = Image.new("RGB", size, palette.PAPER.light)
    for place, panel in enumerate(panels):
        row, column = divmod(place, num_columns)
        canvas.paste(Image.fromarray(panel), (column * (width + _GAP_PX), row * (height + _GAP_PX)))
    return np.asarray(canvas)
