"""A page: sections of blocks in one HTML file that needs nothing else, and no script but those that its blocks bring.

It can be written after each section is added, so that a run that is interrupted leaves a page that is complete as far
as it goes. No clock is read here: date and versions are fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chiasm.core.files import write_text
from chiasm.report import palette
from chiasm.report._templates import render
from chiasm.report.blocks import Block
from chiasm.report.script import scripts_of


@dataclass(slots=True)
class Section:
    """A chapter of a page.

    Attributes:
        title: its heading and its entry in the contents.
        lead: one or two sentences that say what is to be seen.
        aside: a short remark beside the heading ("12 s").
        blocks: what it shows, in order.
    """

    title: str
    lead: str = ""
    aside: str = ""
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> Section:
        """Append blocks."""
        self.blocks.extend(blocks)
        return self


@dataclass(slots=True)
class Page:
    """One self-contained report.

    Attributes:
        title: heading and name of the window.
        subtitle: one line below it.
        made: when the page was made, as it shall be printed ("2026-03-01 14:05").
        versions: names and versions of what made it, printed at the foot.
        blocks: what stands before the first section (the figures that sum it up).
        sections: the chapters, in order.
    """

    title: str
    subtitle: str = ""
    made: str = ""
    versions: Sequence[tuple[str, str]] = ()
    blocks: list[Block] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def add(self, *sections: Section) -> Page:
        """Append sections."""
        self.sections.extend(sections)
        return self

    def html(self) -> str:
        """The whole page.

        Raises:
            MissingExtraError: jinja2 is not installed.
        """
        anchored = list(zip(anchors([section.title for section in self.sections]), self.sections, strict=True))
        return render("page.html", "page", self, anchored, palette.ALL, scripts_of([*self.blocks, *self.sections]))

    def write(self, path: Path) -> None:
        """Write the page; a reader sees the old page or the new one, never half of it.

        Raises:
            InputError: the place cannot be written or the disk is full.
            MissingExtraError: jinja2 is not installed.
        """
        # A lone surrogate (an undecodable byte of a file name) cannot be written as UTF-8; it is shown as "?".
        write_text(path, self.html().encode("utf-8", "replace").decode("utf-8"))


def anchors(titles: Sequence[str]) -> list[str]:
    """A unique address within the page for each title, the same as long as the titles are."""
    taken = {"content"}
    found: list[str] = []
    for title in titles:
        slug = re.sub(r"[^\w]+", "-", title.lower()).strip("-") or "section"
        anchor, number = slug, 2
        while anchor in taken:
            anchor, number = f"{slug}-{number}", number + 1
        taken.add(anchor)
        found.append(anchor)
    return found
