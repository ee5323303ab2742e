"""Where answers and help are printed."""

from __future__ import annotations

from rich.console import Console


class Output(Console):
    """A console that leaves to its caller what to do when nobody reads any more (`| head`)."""

    def on_broken_pipe(self) -> None:
        """Let the error through; the console of rich ends the program with an exit code of its own."""
        raise BrokenPipeError
