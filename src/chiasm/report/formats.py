"""How numbers are written in a report: parts that tables, figures and plots take as `show`."""

from __future__ import annotations

import math
from collections.abc import Callable

MISSING = "–"


def text(value: object) -> str:
    """Any value as it prints; None is written as a dash."""
    return MISSING if value is None else str(value)


def count(value: float | None) -> str:
    """A whole number with thousands separated: 12 345."""
    return MISSING if value is None else f"{value:,.0f}".replace(",", "\u202f")


def number(num_decimals: int) -> Callable[[float | None], str]:
    """A number with fixed decimals, so that a column lines up: `number(2)(3.14159)` is `3.14`."""

    def show(value: float | None) -> str:
        if value is None or math.isnan(value):
            return MISSING
        return f"{value:,.{num_decimals}f}".replace(",", "\u202f").replace("-", "\u2212")

    return show


def percent(num_decimals: int) -> Callable[[float | None], str]:
    """A share from 0 to 1 as percent without the sign, which belongs in the title: `percent(1)(0.5)` is `50.0`."""
    plain = number(num_decimals)
    return lambda value: MISSING if value is None else plain(100 * value)


def compact(value: float | None) -> str:
    """Three significant digits, no exponent where one can do without: `0.0123`, `8.42`, `1 250`."""
    if value is None or math.isnan(value):
        return MISSING
    if value != 0 and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}".replace("-", "\u2212")
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    shown = number(max(0, 2 - magnitude))(value)
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
