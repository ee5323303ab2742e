"""SimCLR: learn from unlabelled pictures by telling two views of one from all others.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.layers.patch import Convolutions
from chiasm.objectives import simclr as method
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(lr=2e-3, lr_scaling="root")
"""The paper finds the root better for small batches and short runs (appendix B.1), with another optimiser. The peak is
what small trunks learn most with in short runs (docs/results.md)."""
USUAL = {"stem": Convolutions()}


def simclr(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk without labels by SimCLR.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data, and its stem is
            early convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.
    """
    return Pretraining(
        name="simclr",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        objective=objective,
        pooling=objective.pool,
        engine=engine,
        usual_engine=ENGINE,
        **run,
    ).run()
