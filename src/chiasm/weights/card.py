"""The card of a model: where it came from, in words a person can check."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from chiasm.core.estimates import Estimate
from chiasm.core.version import __version__


@dataclass(frozen=True, slots=True)
class Card:
    """Origin and quality of a model.

    Attributes:
        title: one line.
        data: what it learned from, with the number of pictures.
        command: that makes it again.
        seconds: of training.
        settings: that matter, name to value.
        metrics: figures, name to value.
        created: moment of saving, UTC.
        commit: of the code.
        hardware: it was trained on.
        limits: what it cannot do, in plain words; empty where nobody wrote any.
        scores: on pictures that it has not seen, by what was measured and on which.
        before: the card of the model that this one was made from; empty where there is none.
    """

    title: str
    data: str
    command: str
    seconds: float
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    created: str
    commit: str
    hardware: str
    limits: str = ""
    scores: Mapping[str, Estimate] = field(default_factory=dict)
    before: str = ""

    @staticmethod
    def now(
        title: str,
        data: str,
        command: str,
        seconds: float,
        settings: Mapping[str, str],
        metrics: Mapping[str, float],
        limits: str = "",
        scores: Mapping[str, Estimate] | None = None,
        before: str = "",
    ) -> Card:
        """A card of this moment, this code and this machine."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Card(
            title,
            data,
            command,
            seconds,
            settings,
            metrics,
            created,
            code_version(),
            _hardware(),
            limits,
            scores or {},
            before,
        )

    @property
    def figures(self) -> dict[str, float]:
        """Metrics and scores for programs."""
        return {**self.metrics, **{name: score.value for name, score in self.scores.items()}}

    def markdown(self) -> str:
        """The card as Markdown."""
        facts = {
            "Data": self.data,
            "Command": f"`{self.command}`",
            "Code": self.commit,
            "Created": self.created,
            "Training": f"{self.seconds / 60:.1f} minutes on {self.hardware}",
        }
        if self.limits:
            facts["Limits"] = self.limits
        lines = [f"# {self.title}", "", *(f"- **{name}**: {value}" for name, value in facts.items())]
        for heading, rows in (("Settings", self.settings), ("Metrics", self.metrics)):
            lines += ["", f"## {heading}", "", "| name | value |", "|---|---|"]
            lines += [f"| {name} | {_plain(value)} |" for name, value in rows.items()]
        if self.scores:
            lines += ["", "## Scores", "", "| what | score | 95 % interval |", "|---|---|---|"]
            lines += [f"| {name} | {one.value:.3g} | {one.low:.3g} to {one.high:.3g} |" for name, one in self._rows()]
        if self.before:
            lines += ["", "---", "", "The card of the model that this one was made from:", "", self.before.strip()]
        return "\n".join(lines) + "\n"

    def _rows(self) -> list[tuple[str, Estimate]]:
        return [(name.replace("|", "\\|"), one) for name, one in self.scores.items()]


def code_version() -> str:
    """Version of the library and, in a checkout, its commit."""
    version = f"chiasm {__version__}"
    folder = Path(__file__).parents[1]
    if not (folder.parent.parent / ".git").exists():
        return version
    try:
        git = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}, commit {commit}"


def _hardware() -> str:
    import torch

    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{torch.get_num_threads()} threads of {name}{gpu}"


def _plain(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
