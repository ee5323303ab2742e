"""`Plot`: a drawing on a page."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.report._templates import render

MAX_NAME_CHARACTERS = 34


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing on a page.

    Attributes:
        svg: the drawing, made by a function of this room; it is placed on the page as it is.
        alt: what it shows, in words (the SVG carries it too).
        title: a line above it.
        caption: text below it.
    """

    svg: str
    alt: str
    title: str = ""
    caption: str = ""

    @property
    def markup(self) -> _Markup:
        return _Markup(self.svg)

    def __html__(self) -> str:
        return render("blocks.html", "plot", self)


@dataclass(frozen=True, slots=True)
class _Markup:
    """Text that is HTML already."""

    text: str

    def __html__(self) -> str:
        return self.text
