"""Errors a person can act on: what was expected, what came, what to do.

Every failure that input can cause is raised as a `ChiasmError`. Surfaces print its single line and leave with its exit
code; a traceback therefore always means a defect in this library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ChiasmError(Exception):
    """A failure caused from outside, told in one line.

    Args:
        expected: what would have been right, as a noun phrase ("a folder of pictures").
        came: what was found instead.
        do: the next step for the reader, as an imperative.
        details: lines that a surface shows below the one (a table of what differs); usually none.

    Attributes:
        told: whether another process of the same run says it, so that a surface need not.
    """

    exit_code = 2
    told = False

    def __init__(self, expected: str, came: str, do: str, details: str = "") -> None:
        self.expected = expected
        self.came = came
        self.do = do
        self.details = details
        line = f"expected {expected}, but {came}; {do}."
        super().__init__(" ".join(line.split()))


class InputError(ChiasmError):
    """A path, option, config or file given by the user is not usable."""


class UnknownNameError(ChiasmError):
    """A name that no file answers to; the message offers the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = nearest(name, names)
        do = f"did you mean {near!r}?" if near else "choose one of these"
        listing = ", ".join(names) if names else "none exist"
        super().__init__(f"a known {kind} ({listing})", f"{name!r} came", do.rstrip("?") if near else do)


class MissingExtraError(ChiasmError):
    """A library that only an extra installs is absent."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"the library {library!r}", "it is not installed", f"install it with: pip install 'chiasm[{extra}]'"
        )


class BrokenPictureError(ChiasmError):
    """One picture cannot be read; whoever reads many skips it and keeps count."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__("a readable picture", f"{key} is not one ({reason})", "repair or remove the file")


class WordlessPictureError(BrokenPictureError):
    """A picture can be read, but nothing is said about it that could be learned; any number of such are passed over."""


class TooManyBrokenError(ChiasmError):
    """More pictures were broken than the run allows."""


class TrainingStoppedError(ChiasmError):
    """Training cannot go on: the loss is not finite or the representation collapsed."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest in spelling to `name`, or None when nothing is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None
