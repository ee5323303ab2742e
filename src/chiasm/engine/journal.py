"""What a run tells while it goes on: logged steps, warnings and on-line evaluations, by the first of its processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from chiasm.engine.events import Listener, ProbeEvent, StepEvent
from chiasm.engine.processes import Processes


class Journal:
    """Tells the listeners, and keeps the last figures.

    Args:
        listeners: told by the first process alone.
        processes: all of them must call the same methods in the same order.
        num_looks: how often the on-line evaluation looks in, spread evenly over the run.

    Attributes:
        figures: the last of each, of steps and probes together.
    """

    def __init__(self, listeners: Sequence[Listener], processes: Processes, num_looks: int) -> None:
        self.figures: dict[str, float] = {}
        self._listeners = listeners
        self._processes = processes
        self._num_looks = num_looks
        self._looks_done = 0
        # Steps, seconds, and of those the seconds waited for data, when a step was last logged.
        self._last = (0, 0.0, 0.0)

    def goes_on(self, step: int, seconds: float, progress: float, figures: Mapping[str, float]) -> None:
        """The run continues from a checkpoint."""
        self.figures = dict(figures)
        self._last = (step, seconds, 0.0)
        self._looks_done = math.floor(progress * self._num_looks) + 1

    def started(self, step: int, facts: Mapping[str, str]) -> None:
        """Training begins or goes on."""
        self._tell(lambda listener: listener.started(step, facts))

    def stepped(
        self, step: int, seconds: float, waited: float, pictures: int, progress: float, figures: Mapping[str, float]
    ) -> None:
        """A step is worth a line.

        Args:
            step: how many are done.
            seconds: of training so far.
            waited: for data, of those.
            pictures: of one step.
            progress: share of the run that is done.
            figures: of the step; those of speed are added.
        """
        last_step, last_seconds, last_waited = self._last
        lasted = max(seconds - last_seconds, 1e-9)
        speed = (step - last_step) * pictures / lasted
        told = {**figures, "images_per_second": speed, "waiting_for_data": (waited - last_waited) / lasted}
        self.figures |= told
        self._last = (step, seconds, waited)
        event = StepEvent(step, seconds, min(progress, 1.0), told)
        self._tell(lambda listener: listener.stepped(event))

    def warned(self, step: int, words: str) -> None:
        """Something looks wrong."""
        self._tell(lambda listener: listener.warned(step, words))

    def look_is_due(self, progress: float) -> bool:
        """Whether to look in: at progress 0, 1/n, 2/n ... 1; counts the look as done."""
        due = math.floor(min(progress, 1.0) * self._num_looks)
        if not self._num_looks or due < self._looks_done:
            return False
        self._looks_done = due + 1
        return True

    def probed(self, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        """The on-line evaluation has looked in."""
        self.figures |= figures
        event = ProbeEvent(step, seconds, figures)
        self._tell(lambda listener: listener.probed(event))

    def finished(self) -> None:
        """Training ended, well or not; so no other process is waited for."""
        if self._processes.is_first:
            for listener in self._listeners:
                listener.finished()

    def _tell(self, what: Callable[[Listener], None]) -> None:
        def tell() -> None:
            for listener in self._listeners:
                what(listener)

        self._processes.first(tell)
