"""Running the tour: chapters in their order, each a section of one report that is whole after every chapter.

A chapter is a file of this folder with an `ORDER` and a function of its own name that takes the `Tour` and returns a
section. Chapters meet only through what they leave in the tour's folder.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from chiasm.core.errors import InputError
from chiasm.core.predictors import Record
from chiasm.core.registry import Registry
from chiasm.core.version import __version__
from chiasm.engine.events import Listener

if TYPE_CHECKING:
    from chiasm.core.predictors import Encoder

MARKER = "report.html"
PICTURE_PX = 64


@dataclass(frozen=True, slots=True)
class Tour:
    """What the chapters share.

    Attributes:
        out: the tour's folder.
        minutes: how long the chapter on pretraining trains.
        seed: of everything.
        model: a public model for the chapter on those; None to pass it over.
        listeners: shown the progress of training.
        console: what a chapter did is told here.
    """

    out: Path
    minutes: float
    seed: int
    model: str | None
    listeners: Sequence[Listener]
    console: Console

    @property
    def trunk(self) -> Path:
        """The artefact that the chapter on pretraining leaves."""
        return self.out / "trunk"

    def say(self, line: str) -> None:
        """Tell what was done."""
        self.console.print(f"  {line}", highlight=False, markup=False)

    def encoder(self) -> Encoder:
        """The trained trunk, ready to embed."""
        from chiasm.serve.encoder import open_encoder

        return open_encoder(str(self.trunk))


class ChapterTime(Record):
    """How long a chapter took."""

    chapter: str
    seconds: float


class TourReport(Record):
    """What the tour left.

    Attributes:
        report: the page to open in a browser.
        seconds: of the whole tour.
        chapters: in their order.
    """

    report: str
    seconds: float
    chapters: tuple[ChapterTime, ...]


def tour(
    out: Path = Path("tour"),
    minutes: float = 1.5,
    seed: int = 0,
    model: str | None = None,
    listeners: Sequence[Listener] = (),
) -> TourReport:
    """Show what chiasm does, on pictures that it makes itself, and write a report.

    A trunk that an earlier tour in the same folder trained is used again.

    Args:
        out: folder for the report and what the chapters make; a new one, or that of an earlier tour.
        minutes: how long the chapter on pretraining trains.
        seed: of everything.
        model: folder, file or public name of a model that reads text, for the chapter on public models.
        listeners: shown the progress of training.
    """
    from chiasm.report.page import Page

    if not minutes > 0:
        raise InputError("a positive --minutes", f"{minutes} came", "give more than 0")
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MARKER).exists())):
        raise InputError("a new folder or that of an earlier tour", f"{out} is neither", "choose another --out")
    registry = Registry("chiasm.surfaces.tour", "chapter")
    chapters = sorted(registry.names(), key=lambda name: registry.module(name).ORDER)
    context = Tour(out, minutes, seed, model, listeners, Console(stderr=True))
    page = Page(
        title="A tour of chiasm",
        subtitle="One trunk, many heads, every surface: shown on pictures that the library makes itself.",
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        versions=_versions(),
    )
    page.write(out / MARKER)
    began, times = time.perf_counter(), []
    for number, name in enumerate(chapters, start=1):
        context.console.rule(f"{number}. {registry.summary(name).split(':')[0]}", align="left")
        started = time.perf_counter()
        section = registry.function(name)(context)
        seconds = time.perf_counter() - started
        section.aside = f"{seconds:.0f} s"
        times.append(ChapterTime(chapter=name, seconds=round(seconds, 1)))
        page.add(section).write(out / MARKER)
    return TourReport(report=str(out / MARKER), seconds=round(time.perf_counter() - began, 1), chapters=tuple(times))


def _versions() -> list[tuple[str, str]]:
    from importlib.metadata import version

    libraries = [(name, version(name)) for name in ("torch", "numpy")]
    return [("chiasm", __version__), ("Python", platform.python_version()), *libraries]
