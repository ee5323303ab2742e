"""What all training recipes share: trunk, objective, source and engine meet, and leave an artefact."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Splits
from chiasm.core.protocols import Objective, ObjectiveConfig, Trunk, TrunkConfig
from chiasm.core.seeds import derive
from chiasm.data.augment.rendering import executor_for
from chiasm.data.cache import Cached, usual_bytes
from chiasm.data.processors import num_processors
from chiasm.data.skipped import Skipped
from chiasm.data.views import ViewLoader
from chiasm.engine.budget import Budget, Minutes, Steps, described
from chiasm.engine.checkpoint import FILE_NAME, read_position
from chiasm.engine.device import wants_gpu
from chiasm.engine.events import Listener
from chiasm.engine.logs import JsonLines, TensorBoard
from chiasm.engine.loop import Engine, Outcome, Probe
from chiasm.engine.processes import Processes, joined
from chiasm.engine.settings import Settings
from chiasm.heads import pool
from chiasm.layers.held import held_weights
from chiasm.models import encoder
from chiasm.models._store import save_model
from chiasm.recipes._estimate import check_alone, flops_per_picture, tried
from chiasm.recipes._folder import CHARTS, LOG, SKIPPED, check_run_folder, logged_length, run_folder
from chiasm.recipes._language import Words
from chiasm.recipes._parts import whole_state
from chiasm.recipes._probe import OnlineKnn, labelled_splits, shared_pictures
from chiasm.recipes._report import BatchCost, CostEstimate, TrainingReport
from chiasm.recipes._sizes import fitted
from chiasm.recipes._start import Start
from chiasm.recipes._words import differing, options, summary
from chiasm.weights.card import Card

DEFAULT_MINUTES = 30.0


def _nothing(trunk: TrunkConfig) -> Mapping[str, Any]:
    """What a method needs that learns by any trunk as it is."""
    del trunk
    return {}


def _encoder_alone(pictures: encoder.Encoder, objective: Objective) -> encoder.PictureModel:
    """What is kept of a run whose heads are thrown away."""
    del objective
    return pictures


@dataclass(frozen=True)
class Pretraining:
    """One run, from a source to an artefact.

    Attributes:
        name: of the recipe.
        data: what to learn from.
        out: folder of the run and of the artefact.
        trunk: what learns; what was not given is chosen.
        objective: how it learns.
        pooling: how its tokens become one vector, in the model that is kept; the objective's own way where it has one.
        engine: settings of the loop.
        usual_engine: those of the recipe, for whoever gives none.
        usual: settings of the trunk that suit the method, unless they were given or come with a model to start from.
        needs: from settings of a trunk those that the method cannot do without, unless they were given.
        wire: puts the objective around the trunk, where its settings alone do not suffice (a teacher).
        model: the model that is kept, made of an encoder with what was learned and of the objective, whose weights may
            lie in parts. All processes make it.
        language: what makes tokens of the texts that are learned from, its vocabulary kept with the model; None without
            texts.
        learns_labels: whether the labels of `data` are learned from; then its pictures are no probe.
        own: further settings of the recipe, each by the name of its option.
        steps, minutes, seed, start_from, resume, probe, listeners, dry_run: as `Run` tells. A run that is resumed with
            a length goes on as a run of that length.
    """

    name: str
    data: Source
    out: Path
    trunk: TrunkConfig
    objective: ObjectiveConfig
    pooling: pool.Config
    engine: Settings
    usual_engine: Settings
    usual: Mapping[str, Any] = field(default_factory=dict)
    needs: Callable[[TrunkConfig], Mapping[str, Any]] = _nothing
    wire: Callable[[Trunk], Objective] | None = None
    model: Callable[[encoder.Encoder, Objective], encoder.PictureModel] = _encoder_alone
    language: Words | None = None
    learns_labels: bool = False
    own: Mapping[str, str] = field(default_factory=dict)
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    start_from: str | None = None
    resume: bool = False
    probe: Splits | None = None
    listeners: Sequence[Listener] = ()
    dry_run: bool = False

    @cached_property
    def start(self) -> Start | None:
        """Whose weights the run begins with; None for random ones."""
        return None if self.start_from is None else Start(self.start_from)

    @cached_property
    def settled(self) -> TrunkConfig:
        """Settings of the trunk with nothing left to choose.

        Raises:
            InputError: they do not go together, or not with the model to start from.
        """
        given = self.trunk.model_fields_set
        trunk = fitted(self.trunk, self.data, self.usual) if self.start is None else self.start.settings(self.trunk)
        new = {name: value for name, value in self.needs(trunk).items() if name not in given}
        return trunk.model_copy(update={name: new[name] for name in new if name in type(trunk).model_fields})

    def run(self) -> TrainingReport:
        """Train and save; or, in a dry run, tell what that would cost (`CostEstimate`) and leave nothing.

        Raises:
            InputError: a setting, the folder or the data is unusable.
            TooManyBrokenError: too much of the data cannot be read.
            TrainingStoppedError: the loss is not finite or the representation collapsed.
            InterruptedRunError: the run was stopped from outside and can be resumed.
        """
        # Told before there is a folder.
        _ = self.settled
        with ExitStack() as stack:
            processes = stack.enter_context(joined(wants_gpu(self.engine)))
            if self.dry_run:
                processes.first(lambda: check_alone(processes))
                return self._estimate()
            goes_on = processes.first(lambda: stack.enter_context(run_folder(self.out, self.resume)))
            return self._run(processes, goes_on)

    def _run(self, processes: Processes, goes_on: bool) -> TrainingReport:
        budget = processes.first(lambda: self._budget(goes_on))
        objective = processes.together(self._objective)
        skipped = Skipped(self.out / SKIPPED)
        batches = processes.together(lambda: self._batches(objective, skipped, processes))
        # Once, since it goes through the names of all pictures.
        identity = self._identity()
        probes: list[Probe] = []
        processes.first(lambda: probes.extend(self._probes(objective.trunk.image_size)))
        engine = Engine(
            settings=self.engine,
            budget=budget,
            folder=self.out,
            listeners=[*self.listeners, *self._logs()],
            probes=probes,
            run=identity,
            seed=self.seed,
            processes=processes,
        )
        outcome = engine.fit(objective, batches, goes_on)
        processes.together(skipped.finish)
        broken = {key for keys in processes.gathered(skipped.listed) for key in keys}
        model = processes.together(lambda: self.model(self._encoder(outcome, objective), objective))
        return processes.first(lambda: self._keep(model, outcome, identity, budget, len(broken)))

    def _estimate(self) -> CostEstimate:
        """What the run would cost."""
        check_run_folder(self.out, self.resume)
        budget = self._budget((self.out / FILE_NAME).exists())
        skipped = Skipped()

        def make(settings: Settings) -> tuple[Objective, ViewLoader]:
            objective = self._objective()
            return objective, replace(self, engine=settings)._batches(objective, skipped, Processes())

        size = self.engine.batch_size
        # The larger one last, since a process's peak of memory never falls.
        sizes = [size // 2, size] if size >= 4 else [size]
        trials = {batch: tried(make, self.engine, batch, self.seed) for batch in sizes}
        asked = trials[size]
        counted = self.engine.model_copy(update={"batch_size": sizes[0]})
        flops = flops_per_picture(*make(counted), self.engine)
        per_step = size * self.engine.accumulate
        steps = max(1, math.ceil(1 / budget.progress(1, per_step / asked.images_per_second)))
        pictures = steps * per_step
        trunk, everything = asked.objective.trunk, [*asked.objective.parameters(), *held_weights(asked.objective)]
        return CostEstimate(
            model=str(self.out),
            objective=self.name,
            trunk_parameters=sum(part.numel() for part in trunk.parameters()),
            steps=steps,
            minutes=pictures / asked.images_per_second / 60,
            images_per_second=asked.images_per_second,
            skipped=skipped.count,
            metrics={},
            learning_parameters=sum(part.numel() for part in everything if part.requires_grad),
            parameters=sum(part.numel() for part in everything),
            epochs=pictures / len(self.data),
            gigaflops_per_picture=flops / 1e9,
            teraflops_per_step=flops * per_step / 1e12,
            batches=tuple(
                BatchCost(
                    batch_size=batch,
                    images_per_second=trial.images_per_second,
                    waiting_for_data=trial.waiting_for_data,
                    peak_memory_mb=trial.peak_memory_mb,
                    hours=pictures / trial.images_per_second / 3600,
                )
                for batch, trial in trials.items()
            ),
        )

    def _objective(self) -> Objective:
        """Trunk and heads as they begin, the same in all processes."""
        torch.manual_seed(derive(self.seed, "weights"))
        trunk = self.settled.build()
        if self.start is not None:
            self.start.fill(trunk)
        objective = (self.wire or self.objective.build)(trunk)
        if self.start is not None:
            self.start.bring(objective, self.name)
        return objective

    def _batches(self, objective: Objective, skipped: Skipped, processes: Processes) -> ViewLoader:
        """This process's rows of the batches; processes of one machine share its processors and memory."""
        device = torch.device("cuda", processes.local_rank) if wants_gpu(self.engine) else torch.device("cpu")
        return ViewLoader(
            Cached(self.data, usual_bytes() // processes.local_count),
            objective.views(),
            self.engine.batch_size,
            self.seed,
            max(1, num_processors() // processes.local_count),
            skipped,
            rank=processes.rank,
            num_ranks=processes.count,
            executor=executor_for(device),
            texts=() if self.language is None else self.language.makers(objective.texts()),
        )

    def _probes(self, image_size: int) -> list[OnlineKnn]:
        splits = self.probe or (None if self.learns_labels else labelled_splits(self.data, self.seed))
        return [OnlineKnn(splits, self.pooling, image_size, self.seed)] if splits else []

    def _budget(self, goes_on: bool) -> Budget:
        if self.steps is not None and self.minutes is not None:
            raise InputError("--steps or --minutes", "both came", "drop one of them")
        if self.steps is not None:
            if self.steps < 1:
                raise InputError("a positive --steps", f"{self.steps} came", "give at least 1")
            return Steps(self.steps)
        if self.minutes is None and goes_on:
            # Learning rates follow from the length, so it stays what it was unless another one is asked for.
            return described(read_position(self.out / FILE_NAME).length)
        if self.minutes is None and self.resume and (logged := logged_length(self.out)) is not None:
            return described(logged)
        minutes = DEFAULT_MINUTES if self.minutes is None else self.minutes
        if not (minutes > 0 and math.isfinite(minutes)):
            raise InputError("a positive, finite --minutes", f"{minutes} came", "give more than 0")
        return Minutes(minutes)

    def _logs(self) -> list[Listener]:
        logs: list[Listener] = [JsonLines(self.out / LOG)]
        if TensorBoard.available():
            logs.append(TensorBoard(self.out / CHARTS))
        return logs

    def _identity(self) -> Mapping[str, str]:
        """What must be the same when the run is resumed."""
        return {
            "recipe": self.name,
            "data": f"{self.data.name} ({len(self.data)} pictures, list {_digest_of_keys(self.data)})",
            "trunk": f"{self.settled.family} {summary(self.settled)}",
            "start": "random weights" if self.start is None else self.start.name,
            "objective": summary(self.objective),
            **self.own,
            "engine": summary(self.engine.decisive()),
            "seed": str(self.seed),
        }

    def _encoder(self, outcome: Outcome, objective: Objective) -> encoder.Encoder:
        """What embeds pictures, with what was learned; all processes make it, since weights may lie in parts."""
        pictures = encoder.Config(trunk=self.settled, pool=self.pooling).build()
        pictures.trunk.load_state_dict(outcome.trunk.state_dict())
        if objective.kept_pool is not None:
            pictures.pool.load_state_dict(whole_state(objective.kept_pool))
        return pictures

    def _keep(
        self,
        model: encoder.PictureModel,
        outcome: Outcome,
        identity: Mapping[str, str],
        budget: Budget,
        num_skipped: int,
    ) -> TrainingReport:
        """Save the model as an artefact."""
        shown = ("loss", "knn_accuracy", "images_per_second", "spread")
        metrics = {name: outcome.figures[name] for name in shown if name in outcome.figures}
        shared = shared_pictures(self.probe, self.data, self.seed) if self.probe else None
        notes = (shared,) if shared else ()
        data = f"{self.data.name}: {len(self.data)} pictures, {num_skipped} of those met passed over"
        card = Card.now(
            title=f"A trunk trained by {self.name}",
            data="; ".join((data, *notes)),
            command=self._command(budget),
            seconds=outcome.seconds,
            settings={**identity, "steps": str(outcome.steps)},
            metrics=metrics,
        )
        save_model(model, self.out, card, None if self.language is None else self.language.vocabulary)
        return TrainingReport(
            model=str(self.out),
            objective=self.name,
            trunk_parameters=sum(parameter.numel() for parameter in model.encoder.trunk.parameters()),
            steps=outcome.steps,
            minutes=outcome.seconds / 60,
            images_per_second=metrics.get("images_per_second", 0.0),
            skipped=num_skipped,
            metrics=metrics,
            notes=notes,
        )

    def _command(self, budget: Budget) -> str:
        """The shell command that makes this model again; a probe of its own is left out, it only watches."""
        words = ["chiasm", "train", self.name.replace("_", "-"), "--data", self.data.name, "--out", str(self.out)]
        if self.start is not None:
            words += ["--start-from", self.start.name]
        words += [word for name, value in self.own.items() for word in (f"--{name}", value)]
        words += [*options("trunk", self.settled), *options("objective", self.objective)]
        words += differing("engine", self.engine, self.usual_engine)
        length, unit = budget.describe().split()
        words += [f"--{unit}", length]
        return shlex.join([*words, "--seed", str(self.seed)])


def _digest_of_keys(source: Source) -> str:
    """Tells whether a source holds pictures of the same names in the same order, which batches are numbers of."""
    digest = hashlib.blake2b(digest_size=4)
    for index in range(len(source)):
        digest.update(source.key(index).encode() + b"\n")
    return digest.hexdigest()
