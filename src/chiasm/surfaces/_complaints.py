"""The parser's complaints in the house's form: what was expected, what came, what to do."""

from __future__ import annotations

import typing
from functools import singledispatch

import cyclopts
from pydantic import ValidationError

from chiasm.core.errors import InputError, nearest

_KINDS = {int: "a whole number", float: "a number", bool: "yes or no"}


def complaint(error: cyclopts.CycloptsError, command: str) -> InputError:
    """What is wrong with a command line.

    Args:
        error: the parser's own words.
        command: the words that name the command ("chiasm embed"), whose help is pointed to.
    """
    cause = error.__cause__ or error.__context__
    told = _setting(cause, error.argument) if isinstance(cause, ValidationError) else _told(error, command)
    return InputError(told.expected, told.came, f"{told.do} ({command} --help tells more)")


def _setting(error: ValidationError, argument: cyclopts.Argument | None) -> InputError:
    """What a settings model says of one option (`--engine.lr`)."""
    first = error.errors()[0]
    parts = [argument.name.lstrip("-")] if argument is not None else []
    option = "--" + ".".join([*parts, *map(str, first["loc"])]).replace("_", "-")
    if first["type"] == "extra_forbidden":
        return InputError("options that belong together", f"{option} does not fit the others", "leave it out")
    came, message = f"{first['input']!r} came", first["msg"]
    limit = message.removeprefix("Input should be ")
    if limit != message:
        return InputError(f"a value for {option} that is {limit}", came, "change it")
    return InputError(f"a value that {option} can take", came, f"note: {message}")


@singledispatch
def _told(error: cyclopts.CycloptsError, command: str) -> InputError:
    reason = " ".join(str(error).split()).rstrip(".")
    return InputError(f"words that {command} understands", f"it says: {reason}", "change them")


@_told.register
def _(error: cyclopts.UnknownCommandError, command: str) -> InputError:
    word = (error.unused_tokens or ["nothing"])[0]
    return InputError(f"a command of {command} first", f"{word!r} came", "begin with one")


@_told.register
def _(error: cyclopts.UnknownOptionError, command: str) -> InputError:
    word = error.token.keyword or error.token.value
    near = nearest(word, [name for argument in error.argument_collection for name in argument.names])
    return InputError(f"an option of {command}", f"{word} is none", f"did you mean {near}" if near else "leave it out")


@_told.register
def _(error: cyclopts.MissingArgumentError, command: str) -> InputError:
    del command
    argument = error.argument
    name = error.keyword or (argument.name if argument is not None else "a value")
    if argument is None or argument.tokens or error.keyword:
        return InputError(f"a value after {name}", "none came", "write one")
    return InputError(name, "it is missing", f"write {name} and a value")


@_told.register
def _(error: cyclopts.UnusedCliTokensError, command: str) -> InputError:
    words = " ".join(error.unused_tokens or [])
    return InputError(
        f"no more words after those that {command} takes", f"{words!r} came", "leave it out, or quote names with spaces"
    )


@_told.register
def _(error: cyclopts.RepeatArgumentError, command: str) -> InputError:
    del command
    return InputError(f"{error.token.keyword} once", "it came several times", "keep one")


@_told.register
def _(error: cyclopts.CoercionError, command: str) -> InputError:
    del command
    token = error.token
    name = token.keyword if token is not None and token.keyword else error.argument.name if error.argument else "it"
    came = f"{token.value!r} came" if token is not None else "another came"
    kind = error.target_type
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
    what = f"one of {', '.join(map(str, choices))}" if choices else _KINDS.get(kind, "another value")
    return InputError(f"{what} for {name}", came, "change it")
