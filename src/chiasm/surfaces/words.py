"""Words to plain values, where the parser's own reading would surprise: whole numbers, paths, several words."""

from __future__ import annotations

import inspect
import typing
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


def whole_numbers(kind: Any, tokens: Sequence[Token]) -> tuple[int, ...]:
    """Several numbers; 1.5 is refused, not rounded.

    Raises:
        InputError: one is none.
    """
    return tuple(whole_number(kind, (token,)) for token in tokens)


def path(_: Any, tokens: Sequence[Token]) -> Path:
    """The path, home folders expanded also where the shell does not (`--out=~/runs`).

    Raises:
        InputError: the word is empty, or the home folder of nobody.
    """
    (token,) = tokens
    return expanded(token.value)


def plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter, read by the functions above where it is a number or a path, or as several words."""
    hint = parameter.annotation
    converter = _CONVERTERS.get(hint)
    if converter is not None:
        return parameter.replace(annotation=Annotated[hint, Parameter(converter=converter)])
    if hint == Sequence[int]:
        numbers = Parameter(consume_multiple=True, negative=(), converter=whole_numbers)
        return parameter.replace(annotation=Annotated[hint, numbers])
    if typing.get_origin(hint) is Sequence or hint == (Sequence[str] | None):
        usual = _OR_NONE if parameter.default in ((), None) else _SEVERAL
        return parameter.replace(annotation=Annotated[hint, usual])
    if hint == (str | None) and isinstance(parameter.default, str):
        return parameter.replace(annotation=Annotated[hint, _WITHOUT])
    return parameter


_SEVERAL = Parameter(consume_multiple=True, negative=())
"""Words that follow each other after one option (`--data one two`)."""
_OR_NONE = Parameter(consume_multiple=True, negative=(), show_default=False)
"""The same; that none come unless they are named goes without saying."""
_WITHOUT = Parameter(negative_none="no-")
"""What is usually there may be left out (`--no-cache`)."""
_CONVERTERS: dict[Any, Any] = {int: whole_number, int | None: whole_number, Path: path, Path | None: path}
