"""What the patches know: components as colours, attention head by head, and patches to choose from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chiasm.core.errors import InputError
from chiasm.core.explaining import Explainer, PatchTokens
from chiasm.data.open import open_source
from chiasm.report import blocks
from chiasm.report.page import Section
from chiasm.report.pictures import Picture, Pictures
from chiasm.surfaces.tour._folder import draw_folder
from chiasm.surfaces.tour._run import Tour

ORDER = 35
NUM_SHOWN = 8
NUM_HEADS_SHOWN = 3
PICTURE_PX = 192
"""More than the trunk was trained on, so that there are enough patches to see shapes in."""
PANEL_PX = 160


def patches(tour: Tour) -> Section:
    """Show what the trained trunk makes of the patches of some pictures."""
    from chiasm.ops.components import component_colours
    from chiasm.report.patches import component_pictures, similarity
    from chiasm.serve.explain import open_explainer

    folder = draw_folder(tour.out / "looked-at", "test", NUM_SHOWN, tour.seed + 5, PICTURE_PX)
    model = open_explainer(str(tour.trunk))
    found = model.patches(open_source(str(folder)), PICTURE_PX)
    colours = component_colours(found.tokens, np.ones(found.tokens.shape[:-1], bool))
    rows, columns = found.tokens.shape[1:3]
    tour.say(f"{rows} x {columns} patches of {len(found.keys)} pictures compared")
    return Section(
        "What the patches know",
        "A trunk answers with a vector for each patch, too. Nobody told it where objects are; what its patches have in "
        "common shows what it made of them.",
    ).add(
        blocks.Heading("Patches that are alike"),
        similarity(found, _busiest(found)),
        blocks.Heading("Components as colours"),
        blocks.Paragraph(
            "The first three principal components of the patches of all these pictures together as red, green and "
            "blue: like colours mean like patches, within a picture and from one to the other."
        ),
        component_pictures(found, colours),
        blocks.Heading("Where each head looks"),
        *_heads(model, folder),
        blocks.Details("The commands that draw these", [blocks.Command(_commands(tour, folder))]),
    )


def _busiest(found: PatchTokens) -> tuple[int, int, int]:
    """The patch in the middle rows and columns of the first picture that lies farthest from the mean of all patches."""
    far = np.linalg.norm(found.tokens[0] - found.tokens.mean(axis=(0, 1, 2)), axis=-1)
    rows, columns = far.shape
    inner = np.zeros_like(far)
    inner[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4] = 1
    row, column = np.unravel_index((far * inner).argmax(), far.shape)
    return 0, int(row), int(column)


def _heads(model: Explainer, folder: Path) -> list[blocks.Block]:
    """A picture of panels for some of the pictures, or why there are none."""
    from chiasm.report.patches import PatchSheets

    try:
        found = model.heads(open_source(str(folder)), PICTURE_PX)
    except InputError as error:
        # A recipe may train a trunk whose vector is an average.
        return [blocks.Note("No heads", str(error))]
    sheets = PatchSheets(panel_px=PANEL_PX)
    shown = zip(found.squares[:NUM_HEADS_SHOWN], found.attention, found.keys, strict=False)
    return [
        blocks.Paragraph(f"Attention of {found.looks} in the last block, each head on a scale of its own."),
        Pictures(
            [
                Picture.of(sheets.heads(square, attention, f"where {found.looks} looks", key), f"heads on {key}", key)
                for square, attention, key in shown
            ],
            min_width_px=640,
        ),
    ]


def _commands(tour: Tour, folder: Path) -> str:
    words = f"chiasm explain {tour.trunk} --data {folder} --size {PICTURE_PX}"
    places = (("similarity", "patches.html"), ("pca", "components/"), ("heads", "heads/"))
    return "\n".join(f"{words} --by {by} --out {out}" for by, out in places)
