"""Whose texts are judged: those of models, or those that lie in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from chiasm.core.errors import InputError

Writer = TypeVar("Writer")


def writers(
    models: Sequence[Writer], answers: Path | None, written: Callable[[Path], Writer], what: str
) -> Sequence[Writer]:
    """The models, or what speaks for a file in their place.

    Args:
        models: may be none.
        answers: the file.
        written: opens it.
        what: is judged.

    Raises:
        InputError: there are models and a file, or neither; or the file cannot be read.
    """
    if models and answers is None:
        return models
    if answers is not None and not models:
        return (written(answers),)
    came = "both came" if models else "none came"
    raise InputError("a model or --answers", came, f"give the one whose {what} are to be judged")
