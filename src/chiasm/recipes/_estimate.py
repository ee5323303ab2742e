"""What a run would cost, before it is begun: counted and measured on a few real steps that leave nothing behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from chiasm.core.errors import InputError
from chiasm.core.protocols import Objective
from chiasm.data.views import ViewLoader
from chiasm.engine.budget import Steps
from chiasm.engine.device import open_device
from chiasm.engine.events import ProbeEvent, StepEvent
from chiasm.engine.interrupt import InterruptedRunError
from chiasm.engine.loop import Engine
from chiasm.engine.processes import Processes
from chiasm.engine.settings import Settings

WARM_STEPS = 2
"""Not measured: memory is set aside in them, and the first batches were made before they began."""
MOST_STEPS, ENOUGH_SECONDS = 12, 20.0
"""A measurement ends after so many steps, or with the first step after so long; one step is measured in any case."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a few steps showed.

    Attributes:
        objective: that took them.
        images_per_second, waiting_for_data: after the first steps.
        peak_memory_mb: most memory so far.
    """

    objective: Objective
    images_per_second: float
    waiting_for_data: float
    peak_memory_mb: float | None


class _EnoughError(Exception):
    """A measurement is over."""


class _Meter:
    """Hears of every step, and ends the run when it has heard enough."""

    def __init__(self) -> None:
        self.heard: list[StepEvent] = []

    def started(self, first_step: int, facts: Mapping[str, str]) -> None:
        """Nothing is measured yet."""

    def stepped(self, event: StepEvent) -> None:
        self.heard.append(event)
        if event.step > WARM_STEPS and (event.step >= MOST_STEPS or event.seconds > ENOUGH_SECONDS):
            raise _EnoughError

    def probed(self, event: ProbeEvent) -> None:
        """There are no probes."""

    def warned(self, step: int, words: str) -> None:
        """A few steps tell nothing."""

    def finished(self) -> None:
        """All was heard."""

    def waiting(self) -> float:
        """Share of the measured time that went into waiting for data."""
        steps = list(zip(self.heard, self.heard[1:], strict=False))[WARM_STEPS - 1 :]
        waited = sum((now.seconds - before.seconds) * now.figures["waiting_for_data"] for before, now in steps)
        return waited / self.seconds()

    def seconds(self) -> float:
        """How long the measured steps took."""
        return max(self.heard[-1].seconds - self.heard[WARM_STEPS - 1].seconds, 1e-9)


def tried(
    make: Callable[[Settings], tuple[Objective, ViewLoader]], settings: Settings, batch_size: int, seed: int
) -> Trial:
    """Take a few steps with a batch of a size.

    Args:
        make: objective and batches for settings.
        settings: of the loop.
        batch_size: in the place of theirs.
        seed: of the run.

    Raises:
        InputError: the settings, the folder or the data are unusable.
        InterruptedRunError: the measurement was stopped from outside.
    """
    brief = settings.model_copy(
        update={"batch_size": batch_size, "log_every": 1, "num_probes": 0, "checkpoint_minutes": 1e9}
    )
    objective, batches = make(brief)
    meter = _Meter()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as nowhere:
        engine = Engine(brief, Steps(10 * MOST_STEPS), Path(nowhere), [meter], seed=seed)
        try:
            engine.fit(objective, batches, resume=False)
        except _EnoughError:
            # The last step was heard, and nothing came after it.
            pass
        except InterruptedRunError:
            raise InterruptedRunError("an undisturbed estimate", "it was interrupted", "ask again") from None
    pictures = (len(meter.heard) - WARM_STEPS) * batch_size * brief.accumulate
    return Trial(objective, pictures / meter.seconds(), meter.waiting(), peak_memory_mb(objective))


def peak_memory_mb(objective: Objective) -> float | None:
    """Most memory so far: of tensors where the objective is on a GPU, else of this process; None if nobody knows."""
    if next(objective.parameters()).device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    try:
        import resource
    except ImportError:
        # Windows has no such module.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _forward_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: object, **__: object) -> int:
    return sdpa_flop(query, key, value)


def _backward_flops(
    grad: Sequence[int], query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: object, **__: object
) -> int:
    return sdpa_backward_flop(grad, query, key, value)


ATTENTION_ON_A_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward_flops,
}
"""PyTorch counts its other kernels of attention itself."""


def flops_per_picture(objective: Objective, batches: ViewLoader, settings: Settings) -> float:
    """Floating-point operations of a forward and a backward pass, over the pictures of a batch."""
    fabric, _ = open_device(settings, Processes())
    objective.to(fabric.device)
    batch = fabric.to_device(batches.batch(0))
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_A_CPU) as counter, fabric.autocast():
        objective(batch, 0.5).total.backward()
    return counter.get_total_flops() / len(batch.indices)


def check_alone(processes: Processes) -> None:
    """Refuse to estimate in several processes, whose speed depends on what lies between them.

    Raises:
        InputError: there are several.
    """
    if processes.count > 1:
        raise InputError("--dry-run in one process", f"{processes.count} were started", "start it without torchrun")
