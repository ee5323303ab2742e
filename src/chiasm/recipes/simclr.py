"""SimCLR: learn from unlabelled pictures by telling two views of one from all others.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.core.example import Source, Splits
from chiasm.engine.events import Listener
from chiasm.engine.settings import Settings
from chiasm.objectives import simclr as method
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._sizes import fitted
from chiasm.trunks import vit

TRUNK, OBJECTIVE, ENGINE = vit.Config(), method.Config(), Settings()


def simclr(
    data: Source,
    out: Path,
    *,
    trunk: vit.Config = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    resume: bool = False,
    probe: Splits | None = None,
    listeners: Sequence[Listener] = (),
) -> TrainingReport:
    """Train a trunk without labels by SimCLR.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; sizes of pictures and patches are chosen from the data unless given.
        objective: how it learns.
        engine: the loop.
        steps: length of the run in optimiser steps.
        minutes: length of the run in minutes of training; 30 when neither is given.
        seed: of weights, order and augmentation.
        resume: go on from the checkpoint in `out`.
        probe: labelled pictures for the on-line k-NN; by default labelled pictures of `data`, where it has any.
        listeners: told about the run as it goes.
    """
    return Pretraining(
        name="simclr",
        data=data,
        out=out,
        trunk=fitted(trunk, data),
        objective=objective,
        pooling=objective.pool,
        engine=engine,
        steps=steps,
        minutes=minutes,
        seed=seed,
        resume=resume,
        probe=probe,
        listeners=listeners,
    ).run()
