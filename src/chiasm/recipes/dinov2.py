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
from chiasm.engine.budget import Minutes, described
from chiasm.engine.checkpoint import FILE_NAME, Position, read_position
from chiasm.engine.device import wants_gpu
from chiasm.engine.processes import joined
from chiasm.engine.settings import Settings
from chiasm.layers.hiding import Replaced
from chiasm.objectives import dinov2 as method
from chiasm.recipes._folder import begun, check_run_folder
from chiasm.recipes._pretraining import DEFAULT_MINUTES, Pretraining, TrainingReport
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
    objective = method.fitted(objective, len(data))
    start_from = run.get("start_from")
    elsewhere = start_from is not None and not goes_on_from(start_from, "dinov2")
    if elsewhere and "trunk_waits" not in objective.model_fields_set:
        objective = objective.model_copy(update={"trunk_waits": TRUNK_WAITS})
    whole = Pretraining(
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
    if final_size is None:
        return whole.run()
    if not 0 < final_share < 1:
        raise InputError("a --final-share between 0 and 1", f"{final_share} came", "give a tenth or so")
    larger = _on_larger_pictures(whole, objective, final_size)
    return (_both_estimated if whole.dry_run else _in_two_phases)(whole, larger, final_share)


def _on_larger_pictures(run: Pretraining, objective: method.Config, size_px: int) -> Pretraining:
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
    settled = objective.model_copy(update={"trunk_waits": 0.0, "last_layer_waits": 0.0, "temperature_warmup": 0.0})
    return replace(
        run, trunk=trunk, objective=settled, engine=run.engine.model_copy(update={"lr": FINAL_LR * run.engine.lr})
    )


def _both_estimated(run: Pretraining, larger: Pretraining, share: float) -> TrainingReport:
    """What both phases would cost; the figures of single steps are those of the first."""
    steps, minutes = _steps_before(run.steps, share), _minutes_before(run, share)
    first = replace(run, steps=steps, minutes=minutes).run()
    rest = None if run.steps is None or steps is None else run.steps - steps
    last = replace(larger, steps=rest, minutes=None if minutes is None else minutes * share / (1 - share)).run()
    tail = f"{last.minutes:.3g} of the minutes are for {last.steps} steps on pictures of {larger.settled.image_size} px"
    whole = {"steps": first.steps + last.steps, "minutes": first.minutes + last.minutes}
    return first.model_copy(update={**whole, "notes": (*first.notes, tail)})


def _in_two_phases(run: Pretraining, larger: Pretraining, share: float) -> TrainingReport:
    """A run on pictures of its trunk's size, then a short one on larger pictures; each can be resumed.

    Raises:
        InputError: there is no room for both phases.
    """
    out = run.out.absolute()
    before = out.with_name(f"{out.name}-before")
    # Told now rather than after the first phase.
    goes_on = run.resume and begun(run.out)
    check_run_folder(run.out, goes_on)
    steps_before, minutes_before = _steps_before(run.steps, share), _minutes_before(run, share)
    with joined(wants_gpu(run.engine)):
        if not goes_on:
            # The last phase begins where this one ends: once it has begun, this one stays as it is.
            replace(run, out=before, steps=steps_before, minutes=minutes_before).run()
        first = read_position(before / FILE_NAME)
        steps, minutes = _length_after(run, first, share)
        report = replace(larger, start_from=str(before), steps=steps, minutes=minutes, resume=goes_on).run()
    whole = {"steps": first.step + report.steps, "minutes": first.seconds / 60 + report.minutes}
    return report.model_copy(update=whole)


def _steps_before(steps: int | None, share: float) -> int | None:
    """Steps of the first phase; at least one is left for the last.

    Raises:
        InputError: there are not enough for both.
    """
    if steps is None:
        return None
    if steps < 2:
        raise InputError("at least 2 --steps, one for each phase", f"{steps} came", "give more, or drop --final-size")
    return min(max(1, steps - round(steps * share)), steps - 1)


def _minutes_before(run: Pretraining, share: float) -> float | None:
    """Minutes of the first phase; a resumed one to which no length is given keeps its own."""
    if run.minutes is None and (run.steps is not None or run.resume):
        return None
    return (DEFAULT_MINUTES if run.minutes is None else run.minutes) * (1 - share)


def _length_after(run: Pretraining, first: Position, share: float) -> tuple[int | None, float | None]:
    """Steps or minutes of the last phase: what is left of the whole length, or its share of that of the first phase.

    Raises:
        InputError: a run that goes on is to be shorter than its first phase was.
    """
    length = described(first.length)
    minutes_done = length.minutes if isinstance(length, Minutes) else first.seconds / 60
    if run.steps is not None and run.steps <= first.step:
        raise InputError(f"more --steps than the {first.step} of the first phase", f"{run.steps} came", "give more")
    if run.minutes is not None and run.minutes <= minutes_done:
        came = f"{run.minutes:g} came"
        raise InputError(f"more --minutes than the {minutes_done:.3g} of the first phase", came, "give more")
    if run.steps is not None:
        return run.steps - first.step, None
    if run.minutes is not None:
        return None, run.minutes - minutes_done
    more = share / (1 - share)
    if isinstance(length, Minutes):
        return None, length.minutes * more
    return max(1, round(length.steps * more)), None
