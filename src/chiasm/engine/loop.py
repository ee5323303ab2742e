"""The loop: the only one. It knows protocols (objective, batches, probes, listeners) and no method.

A run is a pure function of its settings: batches are numbered, each step draws its random numbers from the seed and
its own number, and an interrupted and resumed run of so many steps ends with the same bits as an uninterrupted one on a
CPU.
Several processes take the same steps on parts of the same batches.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from chiasm.core.errors import TrainingStoppedError
from chiasm.core.protocols import Losses, Objective, Trunk
from chiasm.core.seeds import derive
from chiasm.core.views import Views
from chiasm.engine import checkpoint
from chiasm.engine.budget import Budget
from chiasm.engine.clipping import clip
from chiasm.engine.device import open_device
from chiasm.engine.ema import Ema
from chiasm.engine.events import Listener
from chiasm.engine.interrupt import Interrupt, InterruptedRunError
from chiasm.engine.journal import Journal
from chiasm.engine.optimizer import make_optimizer, set_rates
from chiasm.engine.parallel import placed
from chiasm.engine.processes import Processes
from chiasm.engine.recompute import recompute_blocks
from chiasm.engine.settings import Settings
from chiasm.engine.watch import Watch, one_vector, spread


@runtime_checkable
class Batches(Protocol):
    """Numbered batches: number n is the same whenever and however often it is asked for."""

    def iterate(self, first_step: int) -> Generator[Views]:
        """Batches number `first_step`, `first_step + 1` and so on without end; closing it frees its threads."""
        ...


_SIGNALS = ("SIGINT", "SIGTERM")
Probe = Callable[[Trunk], Mapping[str, float]]
"""An on-line evaluation: gets the trunk in evaluation mode, returns figures such as k-NN accuracy."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run leaves.

    Attributes:
        trunk: the trunk to keep: the running average where there is one, else what the objective keeps; on the CPU,
            and whole in the first process.
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
        seed: of the random numbers that objectives draw (drop path, dropout).
        processes: which of how many this is; only the first one has listeners, probes and a folder to write to.
    """

    settings: Settings
    budget: Budget
    folder: Path
    listeners: Sequence[Listener] = ()
    probes: Sequence[Probe] = ()
    run: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    processes: Processes = Processes()

    def fit(self, objective: Objective, batches: Batches, resume: bool) -> Outcome:
        """Train until the budget is used up.

        Args:
            objective: what to learn; trained in place.
            batches: made to the order of `objective.views()`.
            resume: go on from the checkpoint in `folder`.

        Raises:
            InputError: nothing to resume, or a checkpoint of another run, or a full disk.
            TrainingStoppedError: loss or gradient not finite, or the representation collapsed.
            InterruptedRunError: SIGINT or SIGTERM came; a checkpoint was saved.
        """
        session = _Session(self, objective)
        if resume:
            session.restore()
        try:
            session.announce()
            with (
                Interrupt(self.processes.count > 1) as interrupt,
                closing(batches.iterate(session.next_batch)) as stream,
            ):
                session.train(stream, interrupt)
        finally:
            session.finish()
        return session.outcome()


class _Said(NamedTuple):
    """What all processes say about a step: means over them."""

    losses: Losses
    spread: float


class _Session:
    """The state of one `fit`: everything that changes while it runs."""

    def __init__(self, engine: Engine, objective: Objective) -> None:
        settings = engine.settings
        self._engine = engine
        self._objective = objective
        self._fabric, self._numbers = engine.processes.together(lambda: open_device(settings, engine.processes))
        averaged = settings.ema_momentum > 0
        learned = objective.trunk if averaged else objective.kept
        in_parts = settings.strategy == "fsdp" and engine.processes.count > 1
        # Averages, and weights that lie in parts, are put into a plain trunk to be used.
        self._plain = copy.deepcopy(learned).requires_grad_(False) if averaged or in_parts else learned
        if settings.recompute:
            recompute_blocks(objective)
        self._parallel = placed(objective, self._fabric.device, settings.strategy, engine.processes)
        self._optimizer = make_optimizer(objective.groups(), settings)
        self._ema = Ema(objective.trunk, settings.ema_momentum) if averaged else None
        # Only the first process has them, but all wait while they look.
        self._looks = engine.processes.first(lambda: bool(engine.probes))
        self._journal = Journal(engine.listeners, engine.processes, settings.num_probes)
        self._watch = Watch()
        self._step = 0
        # Of training; the first process's, between steps.
        self._seconds = 0.0
        self._waited = 0.0
        self._saved_at = time.monotonic()

    @property
    def next_batch(self) -> int:
        """Number of the next batch."""
        return self._step * self._engine.settings.accumulate

    def restore(self) -> None:
        """Go back to where the checkpoint was written."""
        path = self._engine.folder / checkpoint.FILE_NAME
        self._engine.processes.together(
            lambda: checkpoint.check_same_run(checkpoint.read_position(path).run, self._engine.run, path)
        )
        position = checkpoint.load(path, self._objective, self._optimizer, self._ema, self._parallel)
        self._step, self._seconds = position.step, position.seconds
        self._journal.goes_on(self._step, self._seconds, self._progress(), position.figures)

    def announce(self) -> None:
        """Tell the listeners what is about to run."""
        facts = {
            "device": str(self._fabric.device),
            **({"processes": str(self._engine.processes.count)} if self._engine.processes.count > 1 else {}),
            "precision": f"{self._numbers.precision} ({self._numbers.reason})",
            "length": self._engine.budget.describe(),
            **self._engine.run,
        }
        self._journal.started(self._step, facts)

    def finish(self) -> None:
        """Training ended, well or not."""
        self._journal.finished()

    def train(self, stream: Iterator[Views], interrupt: Interrupt) -> None:
        """Step until the budget is used up."""
        self._objective.train()
        self._probe_when_due()
        while self._progress() < 1:
            with self._timed():
                lr, decay = set_rates(self._optimizer, self._engine.settings, self._progress())
                losses, grad_norm = self._optimise(stream)
                self._step += 1
                self._objective.after_step(self._progress())
                if self._ema is not None:
                    self._ema.update(self._objective.trunk, self._step)
            said = self._agree(losses)
            self._judge(said, grad_norm)
            if self._step % self._engine.settings.log_every == 0 or self._progress() >= 1:
                self._log(said, {"lr": lr, "weight_decay": decay, "grad_norm": grad_norm})
            self._probe_when_due()
            self._save_when_due(interrupt)
        self._save()

    def outcome(self) -> Outcome:
        """What the run leaves."""
        return Outcome(self._kept().cpu().eval(), self._step, self._seconds, dict(self._journal.figures))

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
        # Dropped paths differ between the rows of a batch, so also between processes.
        torch.manual_seed(derive(self._engine.seed, "step", self._step, self._engine.processes.rank))
        for _ in range(settings.accumulate - 1):
            with self._parallel.adding_up(last=False):
                self._accumulate(stream)
        with self._parallel.adding_up(last=True):
            losses = self._accumulate(stream)
        self._parallel.join_gradients()
        grad_norm = clip(self._objective, settings.clip_by, settings.clip_norm, self._parallel)
        if math.isfinite(grad_norm):
            # Weights that a broken gradient has touched cannot be saved any more.
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return losses, grad_norm

    def _accumulate(self, stream: Iterator[Views]) -> Losses:
        """Add the gradient of one batch."""
        asked = time.perf_counter()
        # Where one process has no batch, none goes on.
        batch = self._fabric.to_device(self._engine.processes.together(lambda: next(stream)))
        self._waited += time.perf_counter() - asked
        with self._fabric.autocast():
            losses = self._parallel.forward(batch, self._progress())
        (losses.total / self._engine.settings.accumulate).backward()
        return losses

    def _agree(self, losses: Losses) -> _Said:
        """What all processes say about the step that they have just done."""
        processes = self._engine.processes
        values = (losses.total, spread(losses.embeddings), *losses.terms.values())
        own = torch.stack([value.detach().float() for value in values]).tolist()
        sums = processes.sums([*own, self._seconds if processes.is_first else 0.0])
        total, spread_now, *terms = (torch.tensor(value / processes.count) for value in sums[:-1])
        self._seconds = sums[-1]
        return _Said(Losses(total, losses.embeddings, dict(zip(losses.terms, terms, strict=True))), float(spread_now))

    def _judge(self, said: _Said, grad_norm: float) -> None:
        """Warn of what looks wrong; what is broken, or looks wrong for long, ends the run."""
        terms = {name: float(value) for name, value in said.losses.terms.items()}
        try:
            self._watch.check(self._step, said.losses, grad_norm)
            doubt = one_vector(said.spread) or self._objective.doubt(terms)
            warning = self._watch.weigh(self._step, self._progress(), doubt)
        except TrainingStoppedError as error:
            raise self._engine.processes.in_unison(error) from None
        if warning is not None:
            self._journal.warned(self._step, warning)

    def _log(self, said: _Said, rates: Mapping[str, float]) -> None:
        losses, settings = said.losses, self._engine.settings
        terms = {name: float(value) for name, value in losses.terms.items()}
        figures = {"loss": float(losses.total), **terms, **rates, "spread": said.spread}
        pictures = settings.batch_size * settings.accumulate
        self._journal.stepped(self._step, self._seconds, self._waited, pictures, self._progress(), figures)

    def _probe_when_due(self) -> None:
        if self._looks and self._journal.look_is_due(self._progress()):
            trunk = self._kept()
            figures = self._engine.processes.first(lambda: self._look(trunk))
            self._journal.probed(self._step, self._seconds, figures)

    def _look(self, trunk: Trunk) -> dict[str, float]:
        """Figures of all probes."""
        was_training, device = trunk.training, next(trunk.parameters()).device
        trunk.eval().to(self._fabric.device)
        figures: dict[str, float] = {}
        with torch.inference_mode(), self._fabric.autocast():
            for probe in self._engine.probes:
                figures |= probe(trunk)
        trunk.train(was_training).to(device)
        return figures

    def _kept(self) -> Trunk:
        """The trunk to keep, whole in the first process."""
        if self._ema is None and self._parallel.holds_all:
            return self._objective.kept
        state = self._ema.averages if self._ema is not None else self._objective.kept.state_dict()
        self._plain.load_state_dict({name: self._parallel.whole(value) for name, value in state.items()})
        return self._plain

    def _save_when_due(self, interrupt: Interrupt) -> None:
        processes = self._engine.processes
        asked = [float(interrupt.asked == name) for name in _SIGNALS]
        late = time.monotonic() - self._saved_at > 60 * self._engine.settings.checkpoint_minutes
        *heard, due = processes.sums([*asked, float(late and processes.is_first)])
        signals = [name for name, number in zip(_SIGNALS, heard, strict=True) if number]
        if signals:
            path = self._save()
            came = f"{signals[0]} came at step {self._step}"
            raise processes.in_unison(
                InterruptedRunError("an undisturbed run", came, f"go on with --resume from {path}")
            )
        if due:
            self._save()

    def _save(self) -> Path:
        path = self._engine.folder / checkpoint.FILE_NAME
        position = checkpoint.Position(
            step=self._step,
            seconds=self._seconds,
            run=self._engine.run,
            length=self._engine.budget.describe(),
            figures=self._journal.figures,
        )
        tensors = checkpoint.gathered(self._objective, self._optimizer, self._ema, self._parallel)
        self._engine.processes.first(lambda: checkpoint.save(path, position, tensors))
        self._saved_at = time.monotonic()
        return path
