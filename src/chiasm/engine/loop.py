"""The loop: the only one. It knows protocols (objective, batches, probes, listeners) and no method.

A run is a pure function of its settings: batches are numbered, random states travel in the checkpoint, and an
interrupted and resumed run of so many steps ends with the same bits as an uninterrupted one on a CPU.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.protocols import Losses, Objective, Trunk
from chiasm.core.views import Views
from chiasm.engine import checkpoint
from chiasm.engine.budget import Budget
from chiasm.engine.ema import Ema
from chiasm.engine.events import Listener, ProbeEvent, StepEvent
from chiasm.engine.interrupt import Interrupt, InterruptedRunError
from chiasm.engine.optimizer import make_optimizer, set_rates
from chiasm.engine.precision import choose
from chiasm.engine.processes import check_alone
from chiasm.engine.settings import Settings
from chiasm.engine.watch import Watch, one_vector, spread


@runtime_checkable
class Batches(Protocol):
    """Numbered batches: number n is the same whenever and however often it is asked for."""

    def iterate(self, first_step: int) -> Generator[Views]:
        """Batches number `first_step`, `first_step + 1` and so on without end; closing it frees its threads."""
        ...


Probe = Callable[[Trunk], Mapping[str, float]]
"""An on-line evaluation: gets the trunk in evaluation mode, returns figures such as k-NN accuracy."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run leaves.

    Attributes:
        trunk: the trunk to keep: the running average where there is one, else what the objective keeps; on the CPU.
        steps: optimiser steps done.
        seconds: of training.
        figures: of the last logged step and the last probe.
    """

    trunk: Trunk
    steps: int
    seconds: float
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Engine:
    """One run, ready to start.

    Attributes:
        settings: of the loop.
        budget: how long.
        folder: where the checkpoint lies.
        listeners: told about every logged step.
        probes: on-line evaluations.
        run: what the run is made of (data, trunk, objective, seed); a checkpoint of another run is refused.
    """

    settings: Settings
    budget: Budget
    folder: Path
    listeners: Sequence[Listener] = ()
    probes: Sequence[Probe] = ()
    run: Mapping[str, str] = field(default_factory=dict)

    def fit(self, objective: Objective, batches: Batches, resume: bool) -> Outcome:
        """Train until the budget is used up.

        Args:
            objective: what to learn; trained in place.
            batches: made to the order of `objective.views()`.
            resume: go on from the checkpoint in `folder`.

        Raises:
            InputError: nothing to resume, or a checkpoint of another run, or a full disk, or more than one process.
            TrainingStoppedError: loss or gradient not finite, or the representation collapsed.
            InterruptedRunError: SIGINT or SIGTERM came; a checkpoint was saved.
        """
        session = _Session(self, objective)
        if resume:
            session.restore()
        session.announce()
        try:
            with Interrupt() as interrupt, closing(batches.iterate(session.next_batch)) as stream:
                session.train(stream, interrupt)
        finally:
            for listener in self.listeners:
                listener.finished()
        return session.outcome()


class _Session:
    """The state of one `fit`: everything that changes while it runs."""

    def __init__(self, engine: Engine, objective: Objective) -> None:
        check_alone()
        settings = engine.settings
        self._engine = engine
        self._objective = objective
        # Imported here, as it takes longer than everything else together and wrong settings should be told at once.
        from lightning_fabric import Fabric

        # Fabric announces its precision in its own words; the run's listeners do it in ours.
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        try:
            device = Fabric(accelerator=settings.accelerator, devices=1).device
        except RuntimeError:
            wish = settings.accelerator
            raise InputError(f"a machine with {wish!r}", "this one has none", "leave the accelerator at auto") from None
        self._numbers = choose(settings.precision, device)
        self._fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=self._numbers.precision)
        self._model, self._optimizer = self._fabric.setup(objective, make_optimizer(objective.groups(), settings))
        self._ema = Ema(objective.trunk, settings.ema_momentum) if settings.ema_momentum else None
        self._watch = Watch()
        self._step = 0
        self._seconds = 0.0
        self._waited = 0.0
        self._last_log = (0, 0.0, 0.0)
        self._probes_done = 0
        self._saved_at = time.monotonic()
        # The last of each, of steps and probes together.
        self._figures: dict[str, float] = {}

    @property
    def next_batch(self) -> int:
        """Number of the next batch."""
        return self._step * self._engine.settings.accumulate

    def restore(self) -> None:
        """Go back to where the checkpoint was written."""
        path = self._engine.folder / checkpoint.FILE_NAME
        _same_run(checkpoint.read_position(path).run, self._engine.run, path)
        position = checkpoint.load(path, self._objective, self._optimizer.optimizer, self._ema)
        self._step, self._seconds, self._figures = position.step, position.seconds, dict(position.figures)
        self._last_log = (self._step, self._seconds, 0.0)
        self._probes_done = math.floor(self._progress() * self._engine.settings.num_probes) + 1

    def announce(self) -> None:
        """Tell the listeners what is about to run."""
        facts = {
            "device": str(self._fabric.device),
            "precision": f"{self._numbers.precision} ({self._numbers.reason})",
            "length": self._engine.budget.describe(),
            **self._engine.run,
        }
        for listener in self._engine.listeners:
            listener.started(self._step, facts)

    def train(self, stream: Iterator[Views], interrupt: Interrupt) -> None:
        """Step until the budget is used up."""
        self._model.train()
        self._probe_when_due()
        while self._progress() < 1:
            with self._timed():
                lr, decay = set_rates(self._optimizer.optimizer, self._engine.settings, self._progress())
                losses, grad_norm = self._optimise(stream)
                self._step += 1
            spread_now = float(spread(losses.embeddings))
            self._watch.check(self._step, losses, grad_norm)
            self._doubt(losses, spread_now)
            with self._timed():
                self._objective.after_step(self._progress())
                if self._ema is not None:
                    self._ema.update(self._objective.trunk, self._step)
            if self._step % self._engine.settings.log_every == 0 or self._progress() >= 1:
                rates = {"lr": lr, "weight_decay": decay, "grad_norm": grad_norm, "spread": spread_now}
                self._log(losses, rates)
            self._probe_when_due()
            self._save_when_due(interrupt)
        self._save()

    def outcome(self) -> Outcome:
        """What the run leaves."""
        kept = self._ema.module if self._ema is not None else self._objective.kept
        return Outcome(kept.cpu().eval(), self._step, self._seconds, dict(self._figures))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count what happens inside as training: not probes, saving and listeners, which a budget must not pay for."""
        began = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - began

    def _progress(self) -> float:
        return self._engine.budget.progress(self._step, self._seconds)

    def _optimise(self, stream: Iterator[Views]) -> tuple[Losses, float]:
        """One optimiser step; returns the last pass's losses and the norm of the whole gradient."""
        settings = self._engine.settings
        for _ in range(settings.accumulate - 1):
            with self._fabric.no_backward_sync(self._model):
                self._accumulate(stream)
        losses = self._accumulate(stream)
        limit = settings.clip_norm or math.inf
        norm = self._fabric.clip_gradients(self._model, self._optimizer, max_norm=limit, error_if_nonfinite=False)
        grad_norm = float(norm) if isinstance(norm, Tensor) else math.nan
        if math.isfinite(grad_norm):
            # Weights that a broken gradient has touched cannot be saved any more.
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return losses, grad_norm

    def _accumulate(self, stream: Iterator[Views]) -> Losses:
        """Add the gradient of one batch."""
        asked = time.perf_counter()
        batch = self._fabric.to_device(next(stream))
        self._waited += time.perf_counter() - asked
        losses: Losses = self._model(batch, self._progress())
        self._fabric.backward(losses.total / self._engine.settings.accumulate)
        return losses

    def _log(self, losses: Losses, rates: Mapping[str, float]) -> None:
        settings = self._engine.settings
        step, seconds, waited = self._last_log
        lasted = max(self._seconds - seconds, 1e-9)
        pictures = (self._step - step) * settings.batch_size * settings.accumulate
        figures = {
            "loss": float(losses.total.detach()),
            **{name: float(value) for name, value in losses.terms.items()},
            **rates,
            "images_per_second": pictures / lasted,
            "waiting_for_data": (self._waited - waited) / lasted,
        }
        self._figures |= figures
        self._last_log = (self._step, self._seconds, self._waited)
        event = StepEvent(self._step, self._seconds, min(self._progress(), 1.0), figures)
        for listener in self._engine.listeners:
            listener.stepped(event)

    def _doubt(self, losses: Losses, spread_now: float) -> None:
        """Warn of a representation that looks wrong; a doubt that lasts ends the run."""
        terms = {name: float(value) for name, value in losses.terms.items()}
        doubt = one_vector(spread_now) or self._objective.doubt(terms)
        warning = self._watch.weigh(self._step, self._progress(), doubt)
        if warning is not None:
            for listener in self._engine.listeners:
                listener.warned(self._step, warning)

    def _probe_when_due(self) -> None:
        """Look in at progress 0, 1/n, 2/n ... 1."""
        due = math.floor(min(self._progress(), 1.0) * self._engine.settings.num_probes)
        if not self._engine.probes or not self._engine.settings.num_probes or due < self._probes_done:
            return
        self._probes_done = due + 1
        trunk = self._ema.module if self._ema is not None else self._objective.kept
        was_training = trunk.training
        trunk.eval()
        figures: dict[str, float] = {}
        with torch.inference_mode(), self._fabric.autocast():
            for probe in self._engine.probes:
                figures |= probe(trunk)
        trunk.train(was_training)
        self._figures |= figures
        for listener in self._engine.listeners:
            listener.probed(ProbeEvent(self._step, self._seconds, figures))

    def _save_when_due(self, interrupt: Interrupt) -> None:
        if interrupt.asked:
            path = self._save()
            raise InterruptedRunError(
                "an undisturbed run", f"{interrupt.asked} came at step {self._step}", f"go on with --resume from {path}"
            )
        if time.monotonic() - self._saved_at > 60 * self._engine.settings.checkpoint_minutes:
            self._save()

    def _save(self) -> Path:
        path = self._engine.folder / checkpoint.FILE_NAME
        position = checkpoint.Position(
            step=self._step,
            seconds=self._seconds,
            run=self._engine.run,
            length=self._engine.budget.describe(),
            figures=self._figures,
        )
        checkpoint.save(path, position, self._objective, self._optimizer.optimizer, self._ema)
        self._saved_at = time.monotonic()
        return path


def _same_run(saved: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    """Refuse to resume with other settings than the checkpoint's."""
    for key in sorted({*saved, *wanted}):
        if saved.get(key) != wanted.get(key):
            raise InputError(
                f"the settings that {path} was made with",
                f"{key} was {saved.get(key, 'not set')} and is now {wanted.get(key, 'not set')}",
                "resume with the same settings, or start a new run in another folder",
            )
