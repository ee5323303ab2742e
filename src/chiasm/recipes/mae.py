"""MAE: learn from unlabelled pictures by telling what is hidden of them; Swin does so by SimMIM.

The paper's settings, but for the learning rate: 1.5e-4 for 256 pictures suits its 800 epochs in batches of 4096, where
it is 2.4e-3 at the peak; runs of minutes want nearly as much in batches of 256. The decoder is half as wide as the
trunk and a third as deep (`heads.masked_decoder` tells the rule): the paper's for ViT-L, and less where 512 x 8 would
be several times the trunk's own work. The tokens of the model that is kept are pooled by their mean, since the loss
says nothing of the class token.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.core.example import Source, Splits
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.events import Listener
from chiasm.engine.settings import Settings
from chiasm.heads import pool
from chiasm.layers.hiding import LeftOut, Replaced
from chiasm.layers.initialise import Xavier
from chiasm.layers.patch import Linear
from chiasm.layers.positions import SinCos
from chiasm.objectives import mae as method
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._sizes import fitted
from chiasm.recipes._start import Start
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(lr=1.5e-3, warmup=0.05, betas=(0.9, 0.95), clip_norm=0.0)
USUAL = {"stem": Linear(), "positions": SinCos(), "initialisation": Xavier()}
POOLING = pool.Config(by=pool.ByMean())


def mae(
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
    """Train a trunk without labels by MAE, or by SimMIM where it puts a mask token in the place of hidden patches.

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
            but for those that are given.
        resume: go on from the checkpoint in `out`.
        probe: labelled pictures for the on-line k-NN; by default labelled pictures of `data`, where it has any.
        listeners: told about the run as it goes.
        dry_run: only tell what the run would cost, from a few of its steps; nothing is written.
    """
    start = Start(start_from) if start_from is not None else None
    settings = fitted(trunk, data, USUAL) if start is None else start.settings(trunk, needs={})
    return Pretraining(
        name="mae",
        data=data,
        out=out,
        trunk=able_to_hide(settings),
        start=start,
        objective=objective,
        pooling=POOLING,
        engine=engine,
        steps=steps,
        minutes=minutes,
        seed=seed,
        resume=resume,
        probe=probe,
        listeners=listeners,
        dry_run=dry_run,
    ).run()


def able_to_hide(trunk: TrunkConfig) -> TrunkConfig:
    """Settings of a trunk, with a mask token where it could have one and would hide nothing without."""
    hides = getattr(trunk, "hiding", LeftOut()) is not None
    return trunk if hides else trunk.model_copy(update={"hiding": Replaced()})
