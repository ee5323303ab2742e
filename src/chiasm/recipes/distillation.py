"""Distillation: a small trunk learns, from unlabelled pictures, to give the features of a trained one.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.layers.patch import Convolutions
from chiasm.models import load_picture_model
from chiasm.objectives import distillation as method
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.trunks import vit

TRUNK, OBJECTIVE, ENGINE = vit.Config(), method.Config(), Settings()
USUAL = {"stem": Convolutions()}


def distillation(
    data: Source,
    out: Path,
    *,
    teacher: str,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk without labels to see what another one sees.

    The teacher is not in the checkpoint: it must still be there when a run is resumed.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        teacher: the model that is learned from: a folder, a file or a public name. It sees every view at its own size.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data, and its stem is
            early convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.
    """
    known = load_picture_model(teacher).encoder
    return Pretraining(
        name="distillation",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        objective=objective,
        pooling=objective.pool,
        engine=engine,
        usual_engine=ENGINE,
        wire=lambda student: method.Distillation(student, method.Teacher(known.trunk, known.pool), objective),
        own={"teacher": teacher},
        **run,
    ).run()
