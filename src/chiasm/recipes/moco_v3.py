"""MoCo v3: learn from unlabelled pictures by finding, for each view, the key of its picture among those of all others.

The paper's settings for vision transformers, but for the learning rate: 1.5e-4 for 256 pictures suits its 300 epochs in
batches of 4096, where it is 2.4e-3 at the peak; one batch of 256 in runs of minutes wants more.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.layers.positions import SinCos
from chiasm.objectives import moco_v3 as method
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(lr=1e-3, weight_decay=0.1, final_weight_decay=0.1, betas=(0.9, 0.999), clip_norm=0.0)
USUAL = {"positions": SinCos(column_first=False)}


def moco_v3(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk without labels by MoCo v3.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data, and its positions
            are sines and cosines. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.
    """
    return Pretraining(
        name="moco_v3",
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
