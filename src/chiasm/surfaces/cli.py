"""The shell: commands made from signatures, one-line errors, exit codes.

Only the command that was asked for is imported; the rest is listed from the first lines of its files, which keeps
`chiasm --help` quick and free of PyTorch.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import chiasm
from chiasm.core.errors import ChiasmError, UnknownNameError
from chiasm.core.registry import Registry

if TYPE_CHECKING:
    import cyclopts
    from pydantic import BaseModel

    from chiasm.surfaces.output import Output

GROUPS = {
    "train": (Registry("chiasm.recipes", "recipe"), "Train a trunk on your pictures; one command per recipe."),
    "evaluate": (Registry("chiasm.evaluate", "evaluation"), "Measure a model, with intervals."),
    "compress": (Registry("chiasm.compress", "way to compress"), "Make a model smaller."),
    "prompts": (Registry("chiasm.surfaces.prompts", "command"), "What to say about classes to a model that reads."),
    "models": (Registry("chiasm.surfaces.models", "command"), "What models there are."),
}
TASKS = Registry("chiasm.tasks", "task")
TOUR = "tour"
INTERRUPTED = 130
TELLING_SECONDS = 2.0
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "5000"}
"""How the threads of PyTorch wait for each other, read when it is first imported: they spin briefly, then
sleep. Those that spin for long starve as soon as anything runs beside them; the figures are in docs/performance.md."""
_OUT_OF_MEMORY = ("allocate memory", "out of memory")


def main(words: Sequence[str] | None = None) -> None:
    """Run one command line and leave with its exit code."""
    if not WAITING.keys() & os.environ:
        os.environ.update(WAITING)
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    interrupts = _Interrupts()
    for number in heard:
        signal.signal(number, interrupts)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may hold what the terminal's encoding cannot express.
            stream.reconfigure(errors="backslashreplace")
    code = run(list(sys.argv[1:] if words is None else words))
    for number in heard:
        # Libraries that tidy up while Python ends would show a traceback.
        signal.signal(number, signal.SIG_DFL)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        _end_at_once(code)
    sys.exit(code)


def _end_at_once(code: int) -> NoReturn:
    """End one of several processes without taking Python apart.

    A thread of a library that still runs while Python ends can abort the process ("terminate called without an active
    exception"), and the launcher then takes a finished run for a failed one and stops the others.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


class _Interrupts:
    """What Ctrl-C does, and what a supervisor sends: the first one ends the work and clears up after it.

    That takes a moment, in which a second one changes nothing, since it would leave things lying about; a third one
    ends the program as it is. Training, which saves first, has a way of its own.
    """

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            raise KeyboardInterrupt
        if self._count > 2:
            os._exit(INTERRUPTED)


def run(words: list[str]) -> int:
    """Run one command line; returns the exit code: 0, or 2 for bad input, or 130 when interrupted."""
    try:
        _call(words)
    except ChiasmError as error:
        if error.told:
            _leave_quietly()
            return error.exit_code
        return _complain("\n".join(filter(None, [str(error), error.details])), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output left (`| head`); that is no error of ours. What is still waiting to be written must
        # not fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(_system_error(error))
    except (MemoryError, RuntimeError) as error:
        # PyTorch has no error of its own for a processor's memory that does not suffice.
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
        return _complain("expected memory for what was asked for, but there is not enough; ask for smaller sizes.")
    return 0


def _call(words: list[str]) -> None:
    """Parse and do.

    Raises:
        ChiasmError: the words are not understood, or what they ask for cannot be done.
    """
    # Half of the time until a short answer goes here; whoever presses Ctrl-C meanwhile shall not see a traceback.
    import cyclopts

    from chiasm.surfaces._complaints import complaint

    try:
        make_app(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        raise complaint(error, _command(words)) from None


def make_app(words: Sequence[str]) -> cyclopts.App:
    """The commands; the one that `words` ask for is real, the others are only listed.

    Raises:
        UnknownNameError: there is no such command.
    """
    import cyclopts

    from chiasm.surfaces.output import Output

    _check_command(words)
    app = cyclopts.App(
        name="chiasm",
        help=f"{chiasm.__doc__}",
        version=chiasm.__version__,
        console=Output(),
        # It would leave without a word.
        suppress_keyboard_interrupt=False,
    )
    for name in TASKS.names():
        _add(app, TASKS, name, words, wanted=words[:1] == [_shown(name)])
    for group, (registry, help_text) in GROUPS.items():
        sub = cyclopts.App(name=group, help=help_text)
        for name in registry.names():
            _add(sub, registry, name, words, wanted=list(words[:2]) == [group, _shown(name)])
        app.command(sub)
    tour = Registry("chiasm.surfaces", "surface")
    _add(app, tour, TOUR, words, wanted=words[:1] == [TOUR])
    return app


def _check_command(words: Sequence[str]) -> None:
    """Refuse a word that names no command, with the nearest one."""
    kind, known, place = "command", [*map(_shown, TASKS.names()), *GROUPS, TOUR], 0
    if words and words[0] in GROUPS:
        registry, _ = GROUPS[words[0]]
        kind, known, place = registry.kind, [*map(_shown, registry.names())], 1
    if len(words) > place and not words[place].startswith("-") and words[place] not in known:
        raise UnknownNameError(kind, words[place], known)


def _shown(name: str) -> str:
    return name.replace("_", "-")


def _add(app: cyclopts.App, registry: Registry, name: str, words: Sequence[str], *, wanted: bool) -> None:
    if wanted:
        app.command(_with_output(registry.function(name), words), name=_shown(name))
    else:
        app.command(_listed, name=_shown(name), help=registry.summary(name))


def _listed() -> None:
    """Stands for a command that was not asked for."""


def _with_output(function: Callable[..., BaseModel], words: Sequence[str]) -> Callable[..., None]:
    """The bound function with `--json`, printing its answer."""
    from cyclopts import Parameter

    from chiasm.engine.events import Listener
    from chiasm.surfaces.binding import bind, takes
    from chiasm.surfaces.output import Output
    from chiasm.surfaces.progress import LiveProgress
    from chiasm.surfaces.show import show
    from chiasm.surfaces.words import plain

    # Progress goes to standard error, so that an answer can be piped.
    told = Output(stderr=True)
    bound = bind(function, {Sequence[Listener]: (LiveProgress(told),)}, words)
    # What reports its own steps would be drawn over by a second bar.
    reports = takes(function, Sequence[Listener])

    def command(*args: Any, json: bool = False, **kwargs: Any) -> None:
        with contextlib.nullcontext() if reports else _pictures_told(told):
            answer = bound(*args, **kwargs)
        if _speaks():
            show(answer, json, Output())

    signature = inspect.signature(bound)
    hint = Annotated[bool, Parameter(help="print the answer as JSON, for programs.", negative=())]
    option = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=hint)
    parameters = [*map(plain, signature.parameters.values()), option]
    command.__dict__["__signature__"] = signature.replace(parameters=parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = bound.__doc__
    command.__name__ = function.__name__
    return command


def _leave_quietly() -> None:
    """Wait until the process that tells what is wrong has told it: a launcher ends all others as soon as one ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    time.sleep(TELLING_SECONDS)


def _speaks() -> bool:
    """Whether this process shows answers: of several that a launcher started for one run, only the first does."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _pictures_told(console: Output) -> Iterator[None]:
    """Show how many pictures are done while a command looks at them."""
    from chiasm.core.progress import heard_by
    from chiasm.surfaces.progress import PictureProgress

    with PictureProgress(console) as progress, heard_by(progress):
        yield


def _complain(line: str, code: int = 2) -> int:
    """Tell what is wrong on standard error; where nobody listens there, the exit code has to do."""
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(f"chiasm: {line}\n")
        sys.stderr.flush()
    return code


def _system_error(error: OSError) -> str:
    """What the operating system refused, where no room of the house knew more."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "expected room on the disk, but it is full; free some space and run the command again."
    where = f" at {error.filename}" if error.filename else ""
    reason = error.strerror or str(error) or type(error).__name__
    return f"expected files that can be read and written{where}, but they cannot: {reason}; mend that and try again."


def _command(words: Sequence[str]) -> str:
    """The words that name the command, without its arguments."""
    depth = 2 if words[:1] and words[0] in GROUPS else 1
    return " ".join(["chiasm", *(word for word in words[:depth] if not word.startswith("-"))])
