"""DINO: learn from unlabelled pictures by self-distillation between crops.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.layers.patch import Convolutions
from chiasm.objectives import dino as method
from chiasm.objectives._self_distillation import fitted as fitted_to_pictures
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(
    lr=2e-3, lr_scaling="root", betas=(0.9, 0.999), weight_decay=0.04, final_weight_decay=0.4, clip_by="parameter"
)
"""The peak that the paper has with batches of 1024 (5e-4 for 256 pictures), already with batches of 256, which have
fewer steps to learn in. From there it grows with the root of the batch; the paper's linear rule would go on to 8e-3."""

USUAL = {"stem": Convolutions()}


def dino(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk without labels by DINO.

    Prototypes, the teacher's temperature and its momentum follow the number of pictures unless given: from 1024, 0.01
    and 0.95 for few pictures to the paper's 65 536, 0.07 and 0.996 for a million. Up to 100 000 pictures
    Sinkhorn-Knopp stands in for centring, unless `--objective.targets.kind` says otherwise.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data, and its stem is
            early convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.
    """
    objective = fitted_to_pictures(objective, len(data))
    return Pretraining(
        name="dino",
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
