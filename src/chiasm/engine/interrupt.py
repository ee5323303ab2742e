"""Ending politely: SIGINT and SIGTERM let the step in hand finish and be saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from chiasm.core.errors import ChiasmError


class InterruptedRunError(ChiasmError):
    """The run was stopped from outside after saving a checkpoint."""

    exit_code = 130


class Interrupt:
    """While active, turns the first SIGINT or SIGTERM into a flag; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        # Python lets only the main thread handle signals; elsewhere the host program decides.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name
