"""Words to plain values, where the parser's own reading would surprise: whole numbers and paths."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from chiasm.core.errors import InputError
from chiasm.core.files import expanded


def whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """The number; 1.5 is refused, not rounded.

    Raises:
        InputError: it is none.
    """
    (token,) = tokens
    try:
        return int(token.value)
    except ValueError:
        name = token.keyword or "one of the options"
        raise InputError(f"a whole number for {name}", f"{token.value!r} came", "change it") from None


def path(_: Any, tokens: Sequence[Token]) -> Path:
    """The path, home folders expanded also where the shell does not (`--out=~/runs`).

    Raises:
        InputError: the word is empty, or the home folder of nobody.
    """
    (token,) = tokens
    return expanded(token.value)


def plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter, read by the functions above where it is a number or a path."""
    converter = _CONVERTERS.get(parameter.annotation)
    if converter is None:
        return parameter
    return parameter.replace(annotation=Annotated[parameter.annotation, Parameter(converter=converter)])


_CONVERTERS: dict[Any, Any] = {int: whole_number, int | None: whole_number, Path: path, Path | None: path}
