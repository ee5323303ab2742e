"""Points that move from one map to another and back, as an animated .gif for places that run no script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

from chiasm.core.files import atomic_path
from chiasm.report import palette
from chiasm.report.formats import plain_line
from chiasm.report.marks import CORNERS
from chiasm.report.morph import fitted
from chiasm.report.plots.scatter import Group, groups_of

_WIDTH_PX, _HEIGHT_PX = 720, 540
_MARGIN_PX, _MARK_PX = 14.0, 4.0
_TITLE_PX, _LEGEND_PX, _COLUMN_PX = 18, 13, 180
_MOVING_FRAMES, _FRAME_MS, _REST_MS = 30, 50, 1200


def write_animation(
    out: Path,
    start: Float[np.ndarray, "S 2"],
    end: Float[np.ndarray, "S 2"],
    labels: Int[np.ndarray, " S"],
    classes: Sequence[str],
    names: tuple[str, str],
) -> None:
    """Write the animation; it goes on for ever.

    Args:
        out: the file.
        start: places on the first map.
        end: places on the second.
        labels: class of each point, -1 where it has none.
        classes: names that the labels point into.
        names: of the two maps.

    Raises:
        InputError: the place cannot be written.
    """
    groups = groups_of(labels, classes)
    first, second = fitted(start, end, _WIDTH_PX, _HEIGHT_PX, _MARGIN_PX)
    there = np.linspace(0, 1, _MOVING_FRAMES)
    shares = np.concatenate([there, there[::-1]])
    frames = []
    for share in (shares * shares * (3 - 2 * shares)).tolist():
        name = names[0] if share < 0.5 else names[1]
        frames.append(_frame((1 - share) * first + share * second, groups, name))
    rests = [_REST_MS if share in (0, 1) else _FRAME_MS for share in shares.tolist()]
    with atomic_path(out) as part:
        frames[0].save(part, format="GIF", save_all=True, append_images=frames[1:], duration=rests, loop=0)


def _frame(places: Float[np.ndarray, "S 2"], groups: Sequence[Group], name: str) -> Image.Image:
    """One moment: the points, which map they are nearer to, and what their marks mean."""
    columns = max(1, _WIDTH_PX // _COLUMN_PX)
    legend_px = _LEGEND_PX * 3 // 2 * -(-len(groups) // columns) + int(_MARGIN_PX)
    top = _TITLE_PX * 2
    canvas = Image.new("RGB", (_WIDTH_PX, top + _HEIGHT_PX + legend_px), palette.PAPER.light)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN_PX, _TITLE_PX // 2), plain_line(name), palette.INK.light, ImageFont.load_default(_TITLE_PX))
    for group in groups:
        for x, y in places[group.members].tolist():
            _mark(draw, group, x, y + top)
    font = ImageFont.load_default(_LEGEND_PX)
    for place, group in enumerate(groups):
        row, column = divmod(place, columns)
        x, y = _MARGIN_PX + column * _COLUMN_PX, top + _HEIGHT_PX + row * (_LEGEND_PX * 3 // 2)
        _mark(draw, group, x, y + _LEGEND_PX / 2)
        draw.text((x + 2 * _MARK_PX, y), plain_line(group.name), palette.SOFT.light, font)
    return canvas.quantize(64, Image.Quantize.MEDIANCUT)


def _mark(draw: ImageDraw.ImageDraw, group: Group, x: float, y: float) -> None:
    corners = _MARK_PX * CORNERS[group.shape] + np.array([x, y])
    draw.polygon([(left, top) for left, top in corners.tolist()], fill=group.colour.light)
