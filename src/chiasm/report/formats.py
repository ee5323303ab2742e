"""How numbers are written in a report: parts that tables, figures and plots take as `show`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import SupportsFloat

MISSING = "–"


def text(value: object) -> str:
    """Any value as it prints; None is written as a dash."""
    return MISSING if value is None else str(value)


def count(value: SupportsFloat | None) -> str:
    """A whole number with thousands separated: 12 345."""
    return _fixed(value, 0)


def number(num_decimals: int) -> Callable[[SupportsFloat | None], str]:
    """A number with fixed decimals, so that a column lines up: `number(2)(3.14159)` is `3.14`."""
    return partial(_fixed, num_decimals=num_decimals)


def percent(num_decimals: int) -> Callable[[SupportsFloat | None], str]:
    """A share from 0 to 1 as percent without the sign, which belongs in the title: `percent(1)(0.5)` is `50.0`."""
    return partial(_fixed, num_decimals=num_decimals, factor=100)


def compact(value: SupportsFloat | None) -> str:
    """Three significant digits, no exponent where one can do without: `0.0123`, `8.42`, `1 250`."""
    if value is None or math.isnan(float(value)):
        return MISSING
    plain = float(value)
    if plain != 0 and not 1e-4 <= abs(plain) < 1e9:
        return f"{plain:.3g}".replace("-", "\u2212")
    magnitude = math.floor(math.log10(abs(plain))) if plain else 0
    shown = _fixed(plain, max(0, 2 - magnitude))
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def elided(name: str, max_characters: int) -> str:
    """A name cut in the middle when it is too long for its place; control characters become blanks."""
    name = plain_line(name)
    if len(name) <= max_characters:
        return name
    head = max_characters // 2
    return f"{name[:head]}…{name[len(name) - (max_characters - head - 1) :]}"


def plain_line(line: str) -> str:
    """One line that XML can hold: control characters and line ends become blanks, lone surrogates a mark."""
    printable = "".join(character if character.isprintable() else " " for character in line)
    return printable.encode("utf-8", "replace").decode("utf-8")


def _fixed(value: SupportsFloat | None, num_decimals: int, factor: float = 1.0) -> str:
    if value is None or math.isnan(float(value)):
        return MISSING
    return f"{factor * float(value):,.{num_decimals}f}".replace(",", "\u202f").replace("-", "\u2212")
