"""A run in two phases, each a run of its own in its own folder: the last goes on from where the first ended.

Both are told the length of the whole, of which each takes its share; each can be resumed.
"""

from __future__ import annotations

from dataclasses import replace

from chiasm.core.errors import InputError
from chiasm.engine.budget import Minutes, described
from chiasm.engine.checkpoint import FILE_NAME, Position, read_position
from chiasm.engine.device import wants_gpu
from chiasm.engine.processes import joined
from chiasm.recipes._folder import begun, check_run_folder
from chiasm.recipes._pretraining import DEFAULT_MINUTES, Pretraining, TrainingReport


def two_phases(first: Pretraining, last: Pretraining, share: float) -> TrainingReport:
    """A run, then another one that goes on from its model; in a dry run, what both would cost.

    The first leaves its run beside `out`, in a folder of that name with `-before`.

    Args:
        first: as if it were the whole.
        last: the same, but for where it starts.
        share: length of the last phase as a share of the whole.

    Raises:
        InputError: there is no room for both phases, or one of them cannot run.
    """
    return (_estimated if first.dry_run else _run)(first, last, share)


def _estimated(first: Pretraining, last: Pretraining, share: float) -> TrainingReport:
    """What both phases would cost; the figures of single steps are those of the longer one."""
    steps, minutes = _steps_before(first.steps, share), _minutes_before(first, share)
    before = replace(first, steps=steps, minutes=minutes).run()
    rest = None if first.steps is None or steps is None else first.steps - steps
    after = replace(last, steps=rest, minutes=None if minutes is None else minutes * share / (1 - share)).run()
    tail = (
        f"{after.minutes:.3g} of the minutes are for {after.steps} steps of {last.name} on pictures of "
        f"{last.settled.image_size} px"
    )
    whole = {"steps": before.steps + after.steps, "minutes": before.minutes + after.minutes}
    longer = after if share > 1 / 2 else before
    return longer.model_copy(update={**whole, "notes": (*longer.notes, tail)})


def _run(first: Pretraining, last: Pretraining, share: float) -> TrainingReport:
    """Both phases.

    Raises:
        InputError: there is no room for both.
    """
    out = first.out.absolute()
    before = out.with_name(f"{out.name}-before")
    # Told now rather than after the first phase.
    goes_on = first.resume and begun(first.out)
    check_run_folder(first.out, goes_on)
    steps_before, minutes_before = _steps_before(first.steps, share), _minutes_before(first, share)
    with joined(wants_gpu(first.engine)):
        if not goes_on:
            # The last phase begins where this one ends: once it has begun, this one stays as it is.
            replace(first, out=before, steps=steps_before, minutes=minutes_before).run()
        done = read_position(before / FILE_NAME)
        steps, minutes = _length_after(first, done, share)
        report = replace(last, start_from=str(before), steps=steps, minutes=minutes, resume=goes_on).run()
    whole = {"steps": done.step + report.steps, "minutes": done.seconds / 60 + report.minutes}
    return report.model_copy(update=whole)


def _steps_before(steps: int | None, share: float) -> int | None:
    """Steps of the first phase; at least one is left for the last.

    Raises:
        InputError: there are not enough for both.
    """
    if steps is None:
        return None
    if steps < 2:
        raise InputError("at least 2 --steps, one for each phase", f"{steps} came", "give more")
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
