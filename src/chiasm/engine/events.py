"""What the loop tells whoever listens: logs, progress bars, charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One logged optimiser step.

    Attributes:
        step: how many optimiser steps are done.
        seconds: of training so far, without evaluation and saving.
        progress: share of the run that is done.
        figures: loss, its terms, learning rate, weight decay, gradient norm, spread of the embeddings, pictures per
            second, share of the time spent waiting for data.
    """

    step: int
    seconds: float
    progress: float
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ProbeEvent:
    """One look of the on-line evaluation."""

    step: int
    seconds: float
    figures: Mapping[str, float]


@runtime_checkable
class Listener(Protocol):
    """Told about a run as it goes."""

    def started(self, first_step: int, facts: Mapping[str, str]) -> None:
        """Training begins or goes on after `first_step` steps; `facts` are worth showing (precision, device ...)."""
        ...

    def stepped(self, event: StepEvent) -> None: ...

    def probed(self, event: ProbeEvent) -> None: ...

    def warned(self, step: int, words: str) -> None:
        """Something about the run looks wrong, but may mend itself; told once until it is well again."""
        ...

    def finished(self) -> None:
        """Training ended, well or not."""
        ...
