"""Logs of a run: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

from chiasm.core.files import append_text, write_text
from chiasm.engine.events import ProbeEvent, StepEvent


class JsonLines:
    """One JSON object per event in `log.jsonl`; lines of steps that a resumed run repeats are dropped first.

    Writing raises InputError: the disk is full or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def started(self, first_step: int, facts: Mapping[str, str]) -> None:
        if self._path.exists():
            # A power cut may leave anything at the end. A run that begins again repeats all, the look at step 0 too.
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines() if first_step else []
            write_text(self._path, "".join(f"{line}\n" for line in lines if _step(line) <= first_step))
        self._write({"event": "start", "step": first_step, **facts})

    def stepped(self, event: StepEvent) -> None:
        seconds = round(event.seconds, 3)
        self._write({"event": "step", "step": event.step, "seconds": seconds, **_rounded(event.figures)})

    def probed(self, event: ProbeEvent) -> None:
        seconds = round(event.seconds, 3)
        self._write({"event": "probe", "step": event.step, "seconds": seconds, **_rounded(event.figures)})

    def warned(self, step: int, words: str) -> None:
        self._write({"event": "warning", "step": step, "words": words})

    def finished(self) -> None:
        """Nothing is left to do: every line is on disk already."""

    def _write(self, line: Mapping[str, object]) -> None:
        append_text(self._path, json.dumps(line) + "\n")


class TensorBoard:
    """The same figures for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = None

    @staticmethod
    def available() -> bool:
        """Whether the library is installed (the extra `train` brings it)."""
        return importlib.util.find_spec("tensorboard") is not None

    def started(self, first_step: int, facts: Mapping[str, str]) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=first_step + 1)

    def stepped(self, event: StepEvent) -> None:
        self._add("train", event.step, event.figures)

    def probed(self, event: ProbeEvent) -> None:
        self._add("probe", event.step, event.figures)

    def warned(self, step: int, words: str) -> None:
        if self._writer is not None:
            self._writer.add_text("warning", words, step)

    def finished(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _add(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        # A line cut off when the machine went down belongs to no step that was kept.
        return 1 << 62


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in figures.items()}
