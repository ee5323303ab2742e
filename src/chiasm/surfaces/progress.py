"""Live views of long work: training (a bar on a terminal, plain lines elsewhere) and pictures that are looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from chiasm.engine.events import ProbeEvent, StepEvent

PATIENCE_SECONDS = 1.0
"""What is over by then needs no bar."""


class LiveProgress:
    """Shows share done, pictures per second, loss and the on-line evaluation as they change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("step {task.fields[step]}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[speed]:.0f} images/s"),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TextColumn("{task.fields[probe]}"),
            console=console,
            transient=False,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._told = -1.0

    def started(self, first_step: int, facts: Mapping[str, str]) -> None:
        for name, value in facts.items():
            self._console.print(f"[dim]{name:>12}[/dim]  {escape(value)}", highlight=False)
        # Of several runs after each other, the last is shown.
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._told = -1.0
        fields = {"step": first_step, "speed": 0.0, "loss": float("nan"), "probe": ""}
        self._task = self._bar.add_task("training", total=1.0, **fields)
        self._bar.start()

    def stepped(self, event: StepEvent) -> None:
        speed, loss = event.figures["images_per_second"], event.figures["loss"]
        if self._task is not None:
            self._bar.update(self._task, completed=event.progress, step=event.step, speed=speed, loss=loss)
        if not self._console.is_terminal and event.progress - self._told >= 0.05:
            self._told = event.progress
            self._console.print(
                f"{event.progress:4.0%}  step {event.step}  {speed:.0f} images/s  loss {loss:.3f}", highlight=False
            )

    def probed(self, event: ProbeEvent) -> None:
        text = "  ".join(f"{name} {value:.3f}" for name, value in event.figures.items())
        if self._task is not None:
            self._bar.update(self._task, probe=text)
        self._console.print(f"      step {event.step}  {text}", highlight=False)

    def warned(self, step: int, words: str) -> None:
        self._console.print(f"[yellow]warning[/yellow] step {step}: {escape(words)}", highlight=False, soft_wrap=True)

    def finished(self) -> None:
        self._bar.stop()


class PictureProgress:
    """A bar of the pictures that a command has looked at, for those who wait more than a moment at a terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("pictures"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("pictures", total=None)
        self._began = time.monotonic()

    def __enter__(self) -> PictureProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """So many of the pictures at hand are done; a command may go through several sets of them."""
        if not self._bar.live.is_started and time.monotonic() - self._began > PATIENCE_SECONDS:
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
