"""Maps: embeddings in two dimensions, coloured by class, with pictures standing for their neighbourhood.

Classes are told apart by colour and shape together. Pictures never overlap: places are given greedily, the point with
the most neighbours of its own class first and the classes in turn, as long as there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from chiasm.core.errors import InputError
from chiasm.report import palette
from chiasm.report.formats import elided, plain_line
from chiasm.report.pictures import data_uri, square_thumbnail
from chiasm.report.plots._svg import canvas, to_svg
from chiasm.report.plots.plot import Plot

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_SHAPES = ("o", "s", "^", "D", "v", "P")
_MAX_SHOWN_CLASSES = 24
_MAX_LEGEND_CHARACTERS = 18
_LEGEND_COLUMN_PX = 144
_LEGEND_ROW_PX = 20
_SPACING = 1.18
_SHARPNESS = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Points that look alike on the map.

    Attributes:
        name: of the class, or of what has none of its own.
        members: the points.
        colour, shape: of their marks.
    """

    name: str
    members: Int[np.ndarray, " _"]
    colour: palette.Colour
    shape: str


def scatter_map(
    points: Float[np.ndarray, "S 2"],
    labels: Int[np.ndarray, " S"],
    classes: Sequence[str],
    *,
    picture: Callable[[int], UInt8[np.ndarray, "H W 3"]] | None = None,
    names: Sequence[str] = (),
    max_pictures: int = 40,
    picture_side_px: int = 46,
    title: str = "",
    caption: str = "",
    width_px: int = 860,
) -> Plot:
    """Draw a map.

    Args:
        points: place of each embedding, one unit being the same length on both axes.
        labels: class of each point, -1 where it has none.
        classes: names that the labels point into; beyond the 24 most frequent, classes share one grey.
        picture: reads the picture of a point; only asked for those that are shown.
        names: of the points, shown when the pointer rests on a picture.
        max_pictures: how many pictures are shown at most.
        picture_side_px: side of a picture on the map.
        title, caption: text above and below.
        width_px: of the drawing; its height follows from the extent of the points.

    Raises:
        InputError: there is no point, one is not finite, or labels, names and points differ in number.
    """
    if len(points) == 0 or len(labels) != len(points) or (names and len(names) != len(points)):
        came = f"{len(points)} points, {len(labels)} labels and {len(names)} names came"
        raise InputError("a label (and a name, if any) for each of the points", came, "give one for each")
    if not np.isfinite(points).all():
        raise InputError("finite places on a map", "some are not", "leave these points out")
    groups = groups_of(labels, classes)
    num_columns = max(1, min(len(groups), width_px // _LEGEND_COLUMN_PX))
    height_px = _map_height_px(points, width_px) + _LEGEND_ROW_PX * -(-len(groups) // num_columns)
    with canvas(width_px, height_px) as figure:
        axes = figure.add_subplot()
        handles = [_scattered(axes, group, points) for group in groups]
        _bare(axes)
        figure.legend(
            handles,
            [_legend_name(group.name) for group in groups],
            loc="outside lower left",
            ncols=num_columns,
            frameon=False,
            handletextpad=0.1,
            markerscale=1.3,
        )
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        additions: list[ElementTree.Element] = []
        if picture is not None:
            places = axes.transData.transform(points)
            margin = picture_side_px / 2
            box = axes.bbox.padded(-margin)
            inside = np.array([box.contains(x, y) for x, y in places.tolist()])
            colours = {int(index): group.colour for group in groups for index in group.members}
            for index in representatives(places, labels, inside, _SPACING * picture_side_px, max_pictures).tolist():
                left, top = places[index, 0] - margin, height_px - places[index, 1] - margin
                spoken = _spoken(index, labels, classes, names)
                additions += _thumbnail(picture(index), left, top, picture_side_px, colours[index], spoken)
        alt = _told(groups, len(points))
        return Plot(to_svg(figure, alt, additions), alt, title, caption)


def representatives(
    places: Float[np.ndarray, "S 2"],
    labels: Int[np.ndarray, " S"],
    inside: Bool[np.ndarray, " S"],
    spacing_px: float,
    max_chosen: int,
) -> Int[np.ndarray, " _"]:
    """Points whose pictures stand for their neighbourhood, no two of them closer than `spacing_px` on both axes.

    Args:
        places: of the points, in pixels.
        labels: class of each point.
        inside: points that may be chosen.
        spacing_px: a neighbourhood reaches so far.
        max_chosen: how many are chosen at most.
    """
    from scipy.spatial import KDTree

    num_neighbours = np.zeros(len(places), dtype=np.int64)
    turn = np.zeros(len(places), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        tree = KDTree(places[members])
        num_neighbours[members] = tree.query_ball_point(places[members], spacing_px, return_length=True)
        turn[members[np.argsort(-num_neighbours[members], kind="stable")]] = np.arange(len(members))
    chosen: list[int] = []
    for index in np.lexsort((-num_neighbours, turn)).tolist():
        if len(chosen) == max_chosen:
            break
        distances = np.abs(places[chosen] - places[index]).max(axis=1, initial=0)
        if inside[index] and (distances >= spacing_px).all():
            chosen.append(index)
    return np.array(chosen, dtype=np.int64)


def groups_of(labels: Int[np.ndarray, " S"], classes: Sequence[str]) -> list[Group]:
    """Classes from the most frequent one, then what shares the grey."""
    present, counts = np.unique(labels[labels >= 0], return_counts=True)
    ordered = present[np.argsort(-counts, kind="stable")].tolist()
    shown, others = ordered[:_MAX_SHOWN_CLASSES], ordered[_MAX_SHOWN_CLASSES:]
    num_colours = len(palette.SERIES)
    groups = [
        Group(
            elided(classes[int(label)], _MAX_LEGEND_CHARACTERS),
            np.flatnonzero(labels == label),
            palette.SERIES[rank % num_colours],
            _SHAPES[(rank // num_colours + rank) % len(_SHAPES)],
        )
        for rank, label in enumerate(shown)
    ]
    rest = np.flatnonzero(np.isin(labels, others) | (labels < 0))
    if len(rest):
        names = [f"{len(others)} more classes"] * bool(others) + ["no class"] * bool((labels < 0).any())
        groups.append(Group(", ".join(names), rest, palette.MUTED, "o"))
    return groups


def _legend_name(name: str) -> str:
    # Matplotlib takes a label that begins with an underscore for one to hide; a joiner without width prevents that.
    return f"\u2060{name}" if name.startswith("_") else name


def _scattered(axes: Axes, group: Group, points: Float[np.ndarray, "S 2"]) -> Artist:
    return axes.scatter(
        points[group.members, 0],
        points[group.members, 1],
        s=26,
        c=group.colour.light,
        marker=group.shape,
        linewidths=0,
        clip_on=False,
        alpha=0.8,
    )


def _map_height_px(points: Float[np.ndarray, "S 2"], width_px: int) -> int:
    """As high as the points want it, between a strip and a square."""
    width, height = np.ptp(points, axis=0).tolist()
    return round(width_px * min(max(height / width if width else 1.0, 0.45), 0.9))


def _bare(axes: Axes) -> None:
    """No axes: places on such a map have no unit and no zero."""
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _spoken(index: int, labels: Int[np.ndarray, " S"], classes: Sequence[str], names: Sequence[str]) -> str:
    parts = [names[index]] if names else []
    parts += [classes[int(labels[index])]] if labels[index] >= 0 else []
    return plain_line(" · ".join(parts))


def _thumbnail(
    pixels: UInt8[np.ndarray, "H W 3"], left: float, top: float, side_px: int, colour: palette.Colour, spoken: str
) -> list[ElementTree.Element]:
    """The picture and a frame around it in the colour of its class."""
    place = {"x": f"{left:.1f}", "y": f"{top:.1f}", "width": str(side_px), "height": str(side_px)}
    image = ElementTree.Element("image", {**place, "href": data_uri(square_thumbnail(pixels, side_px * _SHARPNESS))})
    ElementTree.SubElement(image, "title").text = spoken
    stroke = f"fill:none;stroke:var(--{colour.name}, {colour.light});stroke-width:3"
    return [image, ElementTree.Element("rect", {**place, "rx": "2", "style": stroke, "pointer-events": "none"})]


def _told(groups: Sequence[Group], num_points: int) -> str:
    listed = ", ".join(f"{group.name} ({len(group.members)})" for group in groups)
    return f"Map of {num_points} points in two dimensions; points near each other are alike. Shown: {listed}."
