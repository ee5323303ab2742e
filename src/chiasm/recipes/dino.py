"""DINO: learn from unlabelled pictures by self-distillation between crops.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.core.example import Source, Splits
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.events import Listener
from chiasm.engine.settings import Settings
from chiasm.layers.patch import Convolutions
from chiasm.objectives import dino as method
from chiasm.objectives._self_distillation import fitted as fitted_to_pictures
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._sizes import fitted
from chiasm.recipes._start import Start
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(
    lr=2e-3, lr_scaling="root", betas=(0.9, 0.999), weight_decay=0.04, final_weight_decay=0.4, clip_by="parameter"
)
"""The paper's peak, 5e-4 for 256 pictures in batches of 1024, for batches of 256: they have fewer steps to learn in."""

USUAL = {"stem": Convolutions()}


def dino(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    start_from: str | None = None,
    resume: bool = False,
    probe: Splits | None = None,
    listeners: Sequence[Listener] = (),
    dry_run: bool = False,
) -> TrainingReport:
    """Train a trunk without labels by DINO.

    Prototypes, the teacher's temperature and its momentum follow the number of pictures unless given: from 1024, 0.01
    and 0.95 for few pictures to the paper's 65 536, 0.07 and 0.996 for a million. Up to 100 000 pictures
    Sinkhorn-Knopp stands in for centring, unless `--objective.targets.kind` says otherwise.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; sizes of pictures and patches are chosen from the data unless given. `--trunk.family` names
            another kind.
        objective: how it learns.
        engine: the loop.
        steps: length of the run in optimiser steps.
        minutes: length of the run in minutes of training; 30 when neither is given.
        seed: of weights, order and augmentation.
        start_from: a model whose trunk is trained further: a folder, a file or a public name; its settings are kept
            but for those that are given. From the folder of a run of this recipe, heads and teacher come along.
        resume: go on from the checkpoint in `out`.
        probe: labelled pictures for the on-line k-NN; by default labelled pictures of `data`, where it has any.
        listeners: told about the run as it goes.
        dry_run: only tell what the run would cost, from a few of its steps; nothing is written.
    """
    start = Start(start_from) if start_from is not None else None
    objective = fitted_to_pictures(objective, len(data))
    return Pretraining(
        name="dino",
        data=data,
        out=out,
        trunk=fitted(trunk, data, USUAL) if start is None else start.settings(trunk, needs={}),
        start=start,
        objective=objective,
        pooling=objective.pool,
        engine=engine,
        steps=steps,
        minutes=minutes,
        seed=seed,
        resume=resume,
        probe=probe,
        listeners=listeners,
        dry_run=dry_run,
    ).run()
