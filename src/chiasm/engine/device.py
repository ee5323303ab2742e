"""Where a process computes, and with which numbers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from chiasm.core.errors import InputError
from chiasm.engine.precision import Numbers, choose
from chiasm.engine.processes import Processes
from chiasm.engine.settings import Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def wants_gpu(settings: Settings) -> bool:
    """Whether a run is to use NVIDIA's GPUs."""
    return settings.accelerator in ("gpu", "cuda") or (settings.accelerator == "auto" and torch.cuda.is_available())


def open_device(settings: Settings, processes: Processes) -> tuple[Fabric, Numbers]:
    """The device of this process, and the precision that suits it.

    Raises:
        InputError: the machine has no such device.
    """
    # Imported here, as it takes longer than everything else together and wrong settings should be told at once.
    from lightning_fabric import Fabric

    # Fabric announces its precision in its own words; the run's listeners do it in ours.
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    devices = [processes.local_rank] if wants_gpu(settings) else 1
    try:
        device = Fabric(accelerator=settings.accelerator, devices=devices).device
    except RuntimeError:
        wish = settings.accelerator
        raise InputError(f"a machine with {wish!r}", "this one has none", "leave the accelerator at auto") from None
    numbers = choose(settings.precision, device)
    return Fabric(accelerator=settings.accelerator, devices=devices, precision=numbers.precision), numbers
