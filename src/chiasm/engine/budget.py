"""How long a run lasts: a number of steps, or a number of minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Budget(Protocol):
    """Tells how far a run is."""

    def progress(self, step: int, seconds: float) -> float:
        """Share of the run that is done after `step` steps and `seconds` of training; at least 1 when it is over."""
        ...

    def describe(self) -> str:
        """The length in words."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """A run of so many optimiser steps; the same on every machine."""

    steps: int

    def progress(self, step: int, seconds: float) -> float:
        return step / self.steps

    def describe(self) -> str:
        return f"{self.steps} steps"


@dataclass(frozen=True, slots=True)
class Minutes:
    """A run of so many minutes of training; how many steps that is depends on the machine."""

    minutes: float

    def progress(self, step: int, seconds: float) -> float:
        return seconds / (60.0 * self.minutes)

    def describe(self) -> str:
        return f"{self.minutes:.12g} minutes"


def described(words: str) -> Steps | Minutes:
    """The budget that `describe` put into these words."""
    number, unit = words.split()
    return Steps(int(number)) if unit == "steps" else Minutes(float(number))
