"""What the patches of pictures are to a model, as pictures or a page: the ways of `explain` that need no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.explaining import Explainer, PatchPainter, PatchTokens, PatchView
from chiasm.ops.components import component_colours, foreground
from chiasm.tasks._drawings import check_place, write_drawings
from chiasm.tasks._places import check_suffix

PAGE = ".html"
_COMPONENTS = "components of patches"
_SHARED = "one scale of colours for all pictures"


@dataclass(frozen=True, slots=True)
class Order:
    """What to look at and how.

    Attributes:
        model: whose patches.
        data: the pictures.
        out: what is written.
        painter: draws it.
        size_px: side of the squares that the model is given; None for the size that it was made for.
        only_foreground: whether the background is taken away before components are computed.
    """

    model: Explainer
    data: Source
    out: Path
    painter: PatchPainter
    size_px: int | None
    only_foreground: bool

    def colours(self, found: PatchTokens) -> Float[np.ndarray, "B h w 3"]:
        """Patches in the colours of their components, the background in black where it is taken away."""
        kept = foreground(found.tokens) if self.only_foreground else np.ones(found.tokens.shape[:-1], bool)
        return component_colours(found.tokens, kept)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: where each picture went, and which could not be read, and why."""

    places: dict[str, Path]
    skipped: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to show patches.

    Attributes:
        check: refuses a place that does not fit what would be written.
        write: does it.
        has_components: whether the background can be taken away.
    """

    check: Callable[[Path, Source], None]
    write: Callable[[Order], Written]
    has_components: bool


def show_patches(by: PatchView, order: Order) -> Written:
    """Write what the patches are to the model.

    Raises:
        InputError: the background is to be taken away where there are no components, `out` is no place for what would
            be written, or the model's parts or the size do not allow it.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    way = WAYS[by]
    if order.only_foreground and not way.has_components:
        able = " or ".join(name for name, other in WAYS.items() if other.has_components)
        raise InputError(f"components ({able}) without background", f"{by} has none", "leave the foreground out")
    way.check(order.out, order.data)
    return way.write(order)


def _by_components(order: Order) -> Written:
    """The first three components as colours, beside each picture."""
    found = order.model.patches(order.data, order.size_px)
    shown = dict(zip(found.keys, zip(found.squares, order.colours(found), strict=True), strict=True))
    notes = _noted(found.tokens.shape[1:3])

    def draw(key: str) -> np.ndarray:
        return order.painter.components(*shown[key], _COMPONENTS, f"{notes} · {_SHARED} · {key}")

    return Written(write_drawings(order.out, found.keys, draw), dict(found.skipped))


def _by_heads(order: Order) -> Written:
    """A panel for each head with its attention."""
    found = order.model.heads(order.data, order.size_px)
    shown = dict(zip(found.keys, zip(found.squares, found.attention, strict=True), strict=True))
    notes = _noted(found.attention.shape[2:])

    def draw(key: str) -> np.ndarray:
        square, attention = shown[key]
        share = f"{attention.sum(axis=(1, 2)).mean():.0%} of attention on patches"
        return order.painter.heads(square, attention, f"where {found.looks} looks", f"{notes} · {share} · {key}")

    return Written(write_drawings(order.out, found.keys, draw), dict(found.skipped))


def _by_similarity(order: Order) -> Written:
    """One page for all pictures."""
    found = order.model.patches(order.data, order.size_px)
    note = f"{order.model.encoder.name} · {_noted(found.tokens.shape[1:3])}"
    order.painter.page(order.out, found, order.colours(found), f"Patches of {order.data.name}", note)
    return Written(dict.fromkeys(found.keys, order.out), dict(found.skipped))


def _noted(grid: tuple[int, ...]) -> str:
    rows, columns = grid
    return f"{rows} x {columns} patches"


def _check_page(out: Path, data: Source) -> None:
    del data
    check_suffix(out, (PAGE,))


WAYS: dict[PatchView, _Way] = {
    "pca": _Way(check_place, _by_components, has_components=True),
    "heads": _Way(check_place, _by_heads, has_components=False),
    "similarity": _Way(_check_page, _by_similarity, has_components=True),
}
