"""The shell: commands made from signatures, one-line errors, exit codes.

Only the command that was asked for is imported; the rest is listed from the first lines of its files, which keeps
`chiasm --help` quick and free of PyTorch.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cyclopts
from rich.console import Console

import chiasm
from chiasm.core.errors import ChiasmError
from chiasm.core.registry import Registry

if TYPE_CHECKING:
    from pydantic import BaseModel

GROUPS = {
    "train": (Registry("chiasm.recipes", "recipe"), "Train a trunk on your pictures; one command per recipe."),
    "evaluate": (Registry("chiasm.evaluate", "evaluation"), "Measure a model, with intervals."),
    "compress": (Registry("chiasm.compress", "way to compress"), "Make a model smaller."),
    "models": (Registry("chiasm.surfaces.models", "command"), "What models there are."),
}
TASKS = Registry("chiasm.tasks", "task")
TOUR = "tour"


def main(words: Sequence[str] | None = None) -> None:
    """Run one command line and leave with its exit code."""
    # Threads that wait for each other by spinning starve as soon as anything else runs beside them (the figures are in
    # docs/performance.md). The policy is read when PyTorch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(run(list(sys.argv[1:] if words is None else words)))


def run(words: list[str]) -> int:
    """Run one command line; returns the exit code: 0, or 2 for bad input, or 130 when interrupted."""
    try:
        make_app(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        return _complain(f"{_one_line(error)} See: chiasm {_command(words)} --help")
    except ChiasmError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output left (`| head`); that is no error of ours.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _complain("expected room on the disk, but it is full; free some space and run the command again.")
    return 0


def make_app(words: Sequence[str]) -> cyclopts.App:
    """The commands; those that `words` ask for are real, the others are only listed."""
    app = cyclopts.App(name="chiasm", help=f"{chiasm.__doc__}", version=chiasm.__version__)
    for name in TASKS.names():
        _add(app, TASKS, name, wanted=words[:1] == [name])
    for group, (registry, help_text) in GROUPS.items():
        sub = cyclopts.App(name=group, help=help_text)
        for name in registry.names():
            _add(sub, registry, name, wanted=list(words[:2]) == [group, name.replace("_", "-")])
        app.command(sub)
    tour = Registry("chiasm.surfaces", "surface")
    _add(app, tour, TOUR, wanted=words[:1] == [TOUR])
    return app


def _add(app: cyclopts.App, registry: Registry, name: str, *, wanted: bool) -> None:
    shown = name.replace("_", "-")
    if wanted:
        app.command(_with_output(registry.function(name)), name=shown)
    else:
        app.command(_listed, name=shown, help=registry.summary(name))


def _listed() -> None:
    """Stands for a command that was not asked for."""


def _with_output(function: Callable[..., BaseModel]) -> Callable[..., None]:
    """The bound function with `--json`, printing its answer."""
    import inspect

    from chiasm.engine.events import Listener
    from chiasm.surfaces.binding import bind
    from chiasm.surfaces.progress import LiveProgress
    from chiasm.surfaces.show import show

    # Progress goes to standard error, so that an answer can be piped.
    bound = bind(function, {Sequence[Listener]: (LiveProgress(Console(stderr=True)),)})

    def command(*args: Any, json: bool = False, **kwargs: Any) -> None:
        show(bound(*args, **kwargs), json, Console())

    signature = inspect.signature(bound)
    option = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    parameters = [*signature.parameters.values(), option]
    command.__dict__["__signature__"] = signature.replace(parameters=parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    return command


def _complain(line: str, code: int = 2) -> int:
    """Tell what is wrong on standard error."""
    sys.stderr.write(f"chiasm: {line}\n")
    return code


def _one_line(error: cyclopts.CycloptsError) -> str:
    """A parser's complaint, in the house's form where a settings model made it."""
    from pydantic import ValidationError

    from chiasm.core.config import explain

    cause = error.__cause__ or error.__context__
    if isinstance(cause, ValidationError):
        return str(explain(cause, None, "the options"))
    return " ".join(str(error).split()).rstrip(".") + "."


def _command(words: Sequence[str]) -> str:
    """The words that name the command, without its arguments."""
    depth = 2 if words[:1] and words[0] in GROUPS else 1
    return " ".join(word for word in words[:depth] if not word.startswith("-"))
