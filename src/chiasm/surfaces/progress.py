"""A live view of training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from chiasm.engine.events import ProbeEvent, StepEvent


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

    def finished(self) -> None:
        self._bar.stop()
