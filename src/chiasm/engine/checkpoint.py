"""Checkpoints: everything a run needs to go on exactly, in one safetensors file that is replaced atomically.

Tensors are the objective's, the optimiser's and the average's, whole however many processes hold them, so that a run
goes on with any number of processes. The file's metadata holds the counters and a description of the run, so that a
checkpoint is never resumed with other settings unnoticed. Random states are not needed: each step draws from its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from chiasm.core.errors import InputError, TrainingStoppedError
from chiasm.core.tensors import read_metadata, read_tensors, write_tensors
from chiasm.engine.ema import Ema
from chiasm.engine.parallel import Parallel

FILE_NAME = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        seconds: of training so far.
        run: the settings the run was started with.
        length: of the whole run, in the words of its budget.
        figures: the last of each that was logged or probed.
    """

    step: int
    seconds: float
    run: Mapping[str, str]
    length: str
    figures: Mapping[str, float]


def gathered(objective: nn.Module, optimizer: Optimizer, ema: Ema | None, parallel: Parallel) -> dict[str, Tensor]:
    """All tensors of a run, whole; all its processes must ask for them."""
    tensors = {f"objective.{name}": value for name, value in objective.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    if ema is not None:
        tensors |= {f"ema.{name}": value for name, value in ema.averages.items()}
    return {name: parallel.whole(value) for name, value in tensors.items()}


def save(path: Path, position: Position, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint; the old one stays until the new one is complete.

    Raises:
        InputError: the disk is full or cannot be written.
        TrainingStoppedError: a number is not finite; the next step would have told, but nothing could be resumed then.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise TrainingStoppedError(
                "finite numbers to keep",
                f"after step {position.step} {name} holds others, though loss and gradient were finite (the step was "
                "too long)",
                "lower --engine.lr and start again elsewhere",
            )
    write_tensors(path, tensors, {"position": json.dumps(asdict(position))})


def read_position(path: Path) -> Position:
    """Where the run of a checkpoint stood.

    Raises:
        InputError: there is no checkpoint, or it is damaged.
    """
    if not path.exists():
        raise InputError(f"a checkpoint to resume from at {path}", "there is none", "start without --resume")
    try:
        return Position(**json.loads(read_metadata(path)["position"]))
    except (KeyError, TypeError, json.JSONDecodeError):
        came = "it does not say where the run stood"
        raise InputError(f"a checkpoint at {path}", came, "start again without it") from None


def check_same_run(saved: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    """Refuse to resume with other settings than the checkpoint's.

    Raises:
        InputError: a setting differs.
    """
    for key in sorted({*saved, *wanted}):
        if saved.get(key) != wanted.get(key):
            raise InputError(
                f"the settings that {path} was made with",
                f"{key} was {saved.get(key, 'not set')} and is now {wanted.get(key, 'not set')}",
                "resume with the same settings, or start a new run in another folder",
            )


def load(path: Path, objective: nn.Module, optimizer: Optimizer, ema: Ema | None, parallel: Parallel) -> Position:
    """Put a run back to where its checkpoint was written.

    Args:
        path: of the file.
        objective, optimizer, ema: of the run, filled in place.
        parallel: how their tensors lie on the processes.

    Raises:
        InputError: there is no checkpoint, it is damaged, or it belongs to another model.
    """
    position = read_position(path)
    tensors = read_tensors(path)
    _fill(objective, _under(tensors, "objective."), path, parallel)
    if ema is not None:
        saved = _under(tensors, "ema.")
        for name, value in ema.averages.items():
            value.copy_(parallel.laid(saved[name], value))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        # Counters are numbers; all else lies on the processes as the parameter does.
        state.setdefault(int(index), {})[key] = parallel.laid(value, parameters[int(index)]) if value.ndim else value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return position


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, parallel: Parallel) -> None:
    own = module.state_dict()
    laid = {name: parallel.laid(value, own[name]) if name in own else value for name, value in tensors.items()}
    try:
        module.load_state_dict(laid)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"a checkpoint of the same model at {path}", f"it does not fit ({reason})", "resume with the same settings"
        ) from None
