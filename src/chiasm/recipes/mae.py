"""MAE: learn from unlabelled pictures by telling what is hidden of them; Swin does so by SimMIM.

The paper's settings, but for the learning rate: 1.5e-4 for 256 pictures suits its 800 epochs in batches of 4096, where
it is 2.4e-3 at the peak; runs of minutes want nearly as much in batches of 256. The decoder is half as wide as the
trunk and a third as deep (`heads.masked_decoder` tells the rule): the paper's for ViT-L, and less where 512 x 8 would
be several times the trunk's own work. The tokens of the model that is kept are pooled by their mean, since the loss
says nothing of the class token.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.heads import pool
from chiasm.layers.hiding import LeftOut, Replaced
from chiasm.layers.initialise import Xavier
from chiasm.layers.patch import Linear
from chiasm.layers.positions import SinCos
from chiasm.objectives import mae as method
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(lr=1.5e-3, warmup=0.05, betas=(0.9, 0.95), clip_norm=0.0)
LINEAR = Linear()
USUAL = {"stem": LINEAR, "positions": SinCos(), "initialisation": Xavier()}
POOLING = pool.Config(by=pool.ByMean())


def mae(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk without labels by MAE, or by SimMIM where it puts a mask token in the place of hidden patches.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data, and its positions
            are sines and cosines. `--trunk.family` names another kind: swin.
        objective: how it learns.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.
    """
    return Pretraining(
        name="mae",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        needs=way_to_hide,
        objective=objective,
        pooling=POOLING,
        engine=engine,
        usual_engine=ENGINE,
        **run,
    ).run()


def way_to_hide(trunk: TrunkConfig) -> Mapping[str, Any]:
    """A mask token for a trunk that could have one and would hide nothing without."""
    hiding, stem = getattr(trunk, "hiding", LeftOut()), getattr(trunk, "stem", LINEAR)
    return {"hiding": Replaced()} if hiding is None or not isinstance(stem, Linear) else {}
