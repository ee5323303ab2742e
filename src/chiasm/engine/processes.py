"""How many processes take part in a run: one."""

from __future__ import annotations

import os

from chiasm.core.errors import InputError


def check_alone() -> None:
    """Refuse to run as one of several processes that a launcher (torchrun) started.

    Losses, loader and seeds know ranks already, but the loop does not join gradients, clocks, checkpoints and logs of
    several processes: each would train a model of its own and write it to the same folder.

    Raises:
        InputError: more than one process was started.
    """
    num_processes = os.environ.get("WORLD_SIZE", "1")
    if num_processes != "1":
        raise InputError(
            "training in one process",
            f"{num_processes} were started (WORLD_SIZE)",
            "start without torchrun, or with --nproc-per-node 1",
        )
