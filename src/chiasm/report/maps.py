"""Maps of pictures on a page, and what moves from one model's map to another's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chiasm.core.predictors import PictureMap
from chiasm.report.animation import write_animation
from chiasm.report.morph import Morph
from chiasm.report.page import Page, Section
from chiasm.report.plots.scatter import scatter_map


@dataclass(frozen=True, slots=True)
class MapPages:
    """Implements `core.predictors.MapPainter`.

    Attributes:
        max_pictures: pictures that are shown on each map.
    """

    max_pictures: int = 40

    def page(self, out: Path, found: PictureMap, title: str, note: str) -> None:
        """Write a page with the map of each model, after what moves where there are two.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        page = Page(title=title, subtitle=note)
        if len(found.models) == 2:
            page.add(Section("From one to the other", "Move the slider, or let it play.").add(_morph(found)))
        for name, points in zip(found.models, found.points, strict=True):
            drawn = scatter_map(
                points,
                found.labels,
                found.classes,
                picture=found.picture,
                names=found.keys,
                max_pictures=self.max_pictures,
            )
            page.add(Section(name, "Pictures near each other are alike to the model.").add(drawn))
        page.write(out)

    def animation(self, out: Path, found: PictureMap) -> None:
        """Write what moves as an animated .gif.

        Raises:
            InputError: the place cannot be written.
        """
        start, end = found.points
        write_animation(out, start, end, found.labels, found.classes, _names(found))


def _morph(found: PictureMap) -> Morph:
    start, end = found.points
    return Morph.of(start, end, found.labels, found.classes, _names(found))


def _names(found: PictureMap) -> tuple[str, str]:
    first, second = found.models
    return first, second
