"""DINOv2: learn from unlabelled pictures by self-distillation between crops and at hidden patches.

Lab note: see docs/results.md for the figures of the commands named there.

The last phase on larger pictures (arXiv 2304.07193, section 5 and appendix B.2) is a run of its own that goes on from
the first, with heads, teacher and a smaller learning rate.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.layers.hiding import Replaced
from chiasm.objectives import dinov2 as method
from chiasm.recipes._phases import two_phases
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.recipes._start import goes_on_from
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(
    lr=2e-3, lr_scaling="root", betas=(0.9, 0.999), weight_decay=0.04, final_weight_decay=0.4, clip_by="part"
)
NEEDS = {"hiding": Replaced()}
USUAL = {"layer_scale": 0.1, "drop_path": 0.1, "drop_path_uniform": True}
"""The paper's layer scale of 1e-5 and drop path of 0.3 are for large trunks and long runs: with them, a small one has
not begun to see its pictures when a short run is over."""
TRUNK_WAITS = 0.1
"""Share of a run that goes on from another method's trunk, during which only the new heads learn."""
FINAL_LR = 0.1
"""Learning rate of the phase on larger pictures, as a share of that before; the paper says no more than that it was
reduced."""


def dinov2(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    final_size: int | None = None,
    final_share: float = 0.1,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk without labels by DINOv2.

    Prototypes, the teacher's temperature and its momentum follow the number of pictures unless given: from 1024, 0.01
    and 0.95 for few pictures to 65 536, 0.07 and 0.996 for a million. Layer scale and drop path are 0.1 unless given. A
    trunk to start from waits for a tenth of the run while new heads learn, unless `--objective.trunk-waits` says
    otherwise. With a last phase on larger pictures, a run that is resumed goes on in the phase it was in.

    Args:
        data: pictures to learn from: a folder, a table, shards, or `world:train?size=64`.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data. `--trunk.family swin`
            is another kind.
        objective: how it learns.
        engine: the loop.
        final_size: side in pixels of the pictures of a short last phase; None for no such phase. The phase before
            leaves its own run beside `out`, in a folder of that name with `-before`.
        final_share: length of that phase as a share of the whole run.
        run: how long, from where, watched by whom: the options of every recipe.
    """
    whole = prepared(data, out, trunk, objective, engine, run)
    if final_size is None:
        return whole.run()
    if not 0 < final_share < 1:
        raise InputError("a --final-share between 0 and 1", f"{final_share} came", "give a tenth or so")
    return two_phases(whole, _on_larger_pictures(whole, final_size), final_share)


def prepared(
    data: Source, out: Path, trunk: TrunkConfig, objective: method.Config, engine: Settings, run: Run
) -> Pretraining:
    """A run of DINOv2 on pictures of the trunk's size, with what was not given chosen.

    Args:
        data, out, trunk, objective, engine, run: as the recipe got them.
    """
    objective = method.fitted(objective, len(data))
    start_from = run.get("start_from")
    elsewhere = start_from is not None and not goes_on_from(start_from, "dinov2")
    if elsewhere and "trunk_waits" not in objective.model_fields_set:
        objective = objective.model_copy(update={"trunk_waits": TRUNK_WAITS})
    return Pretraining(
        name="dinov2",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        needs=lambda trunk: NEEDS,
        objective=objective,
        pooling=objective.pool,
        engine=engine,
        usual_engine=ENGINE,
        **run,
    )


def _on_larger_pictures(run: Pretraining, size_px: int) -> Pretraining:
    """The last phase, but for where it starts and how long it is.

    Raises:
        InputError: the size does not suit the trunk.
    """
    own = run.settled.image_size
    if size_px <= own:
        came = f"{size_px} came"
        raise InputError(f"a --final-size above the {own} px of the trunk", came, "give more, or leave it out")
    trunk = type(run.settled).parse({**dict(run.settled), "image_size": size_px}, "the trunk of the last phase")
    # Temperature, prototypes and trunk are past what they begin with.
    settled = run.objective.model_copy(update={"trunk_waits": 0.0, "last_layer_waits": 0.0, "temperature_warmup": 0.0})
    return replace(
        run, trunk=trunk, objective=settled, engine=run.engine.model_copy(update={"lr": FINAL_LR * run.engine.lr})
    )
