"""From a matplotlib figure to a small SVG that takes part in the page: its font, its colours, light or dark.

One unit of the SVG is one CSS pixel. Text stays text. Colours of the palette become CSS variables with themselves as
fallback, so a plot also stands alone. Nothing depends on the clock, the machine's fonts or earlier plots.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from chiasm.core.errors import MissingExtraError
from chiasm.report import palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

_POINTS_PER_INCH = 72
_MIN_GATHERED_MARKS = 8
_NAMESPACE = "http://www.w3.org/2000/svg"
_VARIABLES = {colour.light: f"var(--{colour.name}, {colour.light})" for colour in palette.ALL}
_STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": palette.SOFT.light,
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": palette.SOFT.light,
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "grid.color": palette.RULE.light,
    "grid.linewidth": 1.0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "chiasm",
    "text.color": palette.INK.light,
    "text.parse_math": False,
    "xtick.color": palette.SOFT.light,
    "xtick.labelsize": 12,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": palette.SOFT.light,
    "ytick.labelsize": 12,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}

# Matplotlib reads settings of the whole process while it draws; one plot at a time may change them.
_drawing = threading.RLock()


@contextmanager
def canvas(width_px: int, height_px: int) -> Iterator[Figure]:
    """A figure in the style of the report; draw on it and call `to_svg` within the block.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "report") from None
    with _drawing, matplotlib.rc_context(), warnings.catch_warnings():
        # A reader's own fonts draw the text; that the font used for measuring lacks a glyph does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        # Names that leave a drawing no room are the reader's to see, not a warning.
        warnings.filterwarnings("ignore", message="constrained_layout not applied", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        size = (width_px / _POINTS_PER_INCH, height_px / _POINTS_PER_INCH)
        yield Figure(figsize=size, dpi=_POINTS_PER_INCH, facecolor="none", layout="constrained")


def to_svg(figure: Figure, alt: str, additions: Sequence[ElementTree.Element] = ()) -> str:
    """The figure as SVG text for use within HTML.

    Args:
        figure: as `canvas` made it.
        alt: what the plot shows, for those who do not see it.
        additions: elements in pixels of the figure (origin at the top left) to lay over it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    raw = ElementTree.fromstring(buffer.getvalue())
    width, height = (round(float(part)) for part in raw.attrib["viewBox"].split()[2:])
    prefix = "p" + hashlib.sha256(f"{alt}\n{buffer.getvalue()}".encode("utf-8", "replace")).hexdigest()[:8] + "-"
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": _NAMESPACE,
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "role": "img",
            "aria-label": alt,
            "style": f"--width:{width}px;stroke-linejoin:round;stroke-linecap:butt;font-family:var(--sans, sans-serif)",
        },
    )
    # The first child holds a style sheet for every element of the document; `style` above says the same for this one.
    root.extend(_tidied(list(raw)[1:], prefix, _referenced(buffer.getvalue())))
    root.extend(additions)
    return ElementTree.tostring(root, encoding="unicode")


def _referenced(text: str) -> set[str]:
    return set(re.findall(r"""(?:url\(|href=")#([\w-]+)""", text))


def _tidied(elements: Sequence[ElementTree.Element], prefix: str, referenced: set[str]) -> list[ElementTree.Element]:
    """Elements without names nobody refers to, groups that say nothing, blanks and needless digits."""
    tidy: list[ElementTree.Element] = []
    for element in elements:
        tag = element.tag.rsplit("}", 1)[-1]
        attributes = _attributes(element, prefix, referenced)
        children = _tidied(list(element), prefix, referenced)
        if tag == "g" and not attributes:
            tidy.extend(children)
        else:
            clean = ElementTree.Element(tag, attributes)
            clean.text = element.text if tag == "text" else None
            clean.extend(children)
            tidy.append(clean)
    return _gathered(tidy)


def _gathered(elements: Sequence[ElementTree.Element]) -> list[ElementTree.Element]:
    """Neighbouring equal marks as one path that has the mark at each of its corners: a dozen bytes for each."""
    result: list[ElementTree.Element] = []
    for (tag, href, style), run in itertools.groupby(elements, key=_appearance):
        marks = list(run)
        if tag != "use" or len(marks) < _MIN_GATHERED_MARKS:
            result.extend(marks)
            continue
        # The same mark may come in two colours; the style is part of the name.
        name = f"{href[1:]}-{hashlib.sha256(style.encode()).hexdigest()[:6]}"
        marker = ElementTree.Element("marker", {"id": name, "overflow": "visible", "markerUnits": "userSpaceOnUse"})
        ElementTree.SubElement(marker, "use", {"href": href, "style": style})
        corners = "L".join(f"{mark.get('x')} {mark.get('y')}" for mark in marks)
        path = {"d": f"M{corners}", "style": f"fill:none;stroke:none;marker:url(#{name})"}
        result += [marker, ElementTree.Element("path", path)]
    return result


def _appearance(element: ElementTree.Element) -> tuple[str, str, str]:
    return element.tag, element.get("href", ""), element.get("style", "")


def _attributes(element: ElementTree.Element, prefix: str, referenced: set[str]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        name = key.rsplit("}", 1)[-1]
        if name == "id":
            if value in referenced:
                attributes["id"] = prefix + value
        elif name == "style":
            attributes["style"] = _style(value, prefix)
        elif name == "href":
            attributes["href"] = value.replace("#", f"#{prefix}", 1) if value.startswith("#") else value
        elif not value.startswith("rotate(-0 "):
            attributes[name] = _shortened(value.replace("url(#", f"url(#{prefix}"))
    return {name: value for name, value in attributes.items() if value}


def _style(style: str, prefix: str) -> str:
    kept: list[str] = []
    for declaration in filter(None, style.split(";")):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            size = re.search(r"[\d.]+px", value)
            weight = re.search(r"\b(bold|[5-9]00)\b", value)
            kept += [f"font-size:{size.group()}"] if size else []
            kept += [f"font-weight:{weight.group()}"] if weight else []
        elif name != "font-family":
            kept.append(f"{name}:{_VARIABLES.get(value, value.replace('url(#', f'url(#{prefix}'))}")
    return ";".join(kept)


def _shortened(value: str) -> str:
    """Numbers with two decimals at most (a hundredth of a pixel) and single blanks."""
    rounded = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found.group()):.2f}".rstrip("0").rstrip("."), value)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(rounded.split())) if value.startswith("M ") else rounded
