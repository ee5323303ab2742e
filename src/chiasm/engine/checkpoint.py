"""Checkpoints: everything a run needs to go on exactly, in one safetensors file that is replaced atomically.

Tensors are the objective's, the optimiser's, the average's and the random states; the file's metadata holds the
counters and a description of the run, so that a checkpoint is never resumed with other settings unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chiasm.core.errors import InputError
from chiasm.core.tensors import read_metadata, read_tensors, write_tensors
from chiasm.engine.ema import Ema

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


def save(path: Path, position: Position, objective: nn.Module, optimizer: Optimizer, ema: Ema | None) -> None:
    """Write a checkpoint; the old one stays until the new one is complete.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    tensors = {f"objective.{name}": value for name, value in objective.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    if ema is not None:
        tensors |= {f"ema.{name}": value for name, value in ema.module.state_dict().items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    write_tensors(path, tensors, {"position": json.dumps(asdict(position))})


def read_position(path: Path) -> Position:
    """Where the run of a checkpoint stood.

    Raises:
        InputError: there is no checkpoint, or it is damaged.
    """
    if not path.exists():
        raise InputError(f"a checkpoint to resume from at {path}", "there is none", "start without --resume")
    position = json.loads(read_metadata(path).get("position", "null"))
    if position is None:
        raise InputError(f"a checkpoint at {path}", "it does not say where the run stood", "start again without it")
    return Position(**position)


def load(path: Path, objective: nn.Module, optimizer: Optimizer, ema: Ema | None) -> Position:
    """Put a run back to where its checkpoint was written.

    Raises:
        InputError: there is no checkpoint, it is damaged, or it belongs to another model.
    """
    position = read_position(path)
    tensors = read_tensors(path)
    _fill(objective, _under(tensors, "objective."), path)
    if ema is not None:
        _fill(ema.module, _under(tensors, "ema."), path)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return position


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"a checkpoint of the same model at {path}", f"it does not fit ({reason})", "resume with the same settings"
        ) from None
