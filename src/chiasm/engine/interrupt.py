"""Ending politely: SIGINT and SIGTERM let the step in hand finish and be saved."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

from chiasm.core.errors import ChiasmError

ECHO_SECONDS = 1.0
"""A launcher passes on what the terminal has sent to its processes already; so soon after, it is the same signal."""


class InterruptedRunError(ChiasmError):
    """The run was stopped from outside after saving a checkpoint."""

    exit_code = 130


class Interrupt:
    """While active, turns the first SIGINT or SIGTERM into a flag; a second SIGINT stops at once.

    Args:
        echoes: whether a launcher may send a signal once more.
    """

    def __init__(self, echoes: bool = False) -> None:
        self.asked: str | None = None
        self._patience = ECHO_SECONDS if echoes else 0.0
        self._asked_at = 0.0
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
        now = time.monotonic()
        if self.asked is None:
            self.asked, self._asked_at = signal.Signals(number).name, now
        elif number == signal.SIGINT and now - self._asked_at >= self._patience:
            raise KeyboardInterrupt
