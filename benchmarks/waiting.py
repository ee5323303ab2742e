"""What waiting threads cost: training speed with threads that spin, sleep, or spin briefly, alone and beside others.

OpenMP's threads wait for each other at the end of every parallel region. Spinning saves microseconds on an idle
machine; as soon as another process wants a core, the spinning thread burns the time slice that the late one needs.
Sleeping threads must be woken, which a virtual machine makes dear. The way is read once per process, so every
measurement is a process of its own; ways take turns, so that the state of the machine meets all.

    python benchmarks/waiting.py [--seconds 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median

from chiasm.surfaces.cli import WAITING

BATCH = 128
WAYS: dict[str, Mapping[str, str]] = {
    "spinning": {"OMP_WAIT_POLICY": "ACTIVE"},
    "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"},
    "as the command": WAITING,
}


def steps_per_second(seconds: float) -> float:
    """SimCLR on a pico trunk of 16 patches, one batch over and over."""
    import time

    import torch

    from chiasm.core.views import Views
    from chiasm.objectives import simclr
    from chiasm.trunks import vit

    torch.manual_seed(0)
    objective = simclr.Config().build(vit.Config(image_size=32, patch_size=8).build())
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-3)
    images = tuple(torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8) for _ in range(2))
    batch = Views(images, torch.arange(BATCH))
    num_steps, began = -1, 0.0
    while num_steps < 0 or time.perf_counter() - began < seconds:
        objective(batch, 0.0).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        num_steps += 1
        if num_steps == 0:
            began = time.perf_counter()
    return num_steps / (time.perf_counter() - began)


def measured(way: Mapping[str, str], seconds: float) -> float:
    """Steps per second in a fresh process whose threads wait in one way."""
    environment = {**os.environ, **way}
    words = [sys.executable, __file__, "--worker", "--seconds", str(seconds)]
    return float(subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout)


@contextmanager
def beside(num_others: int) -> Iterator[None]:
    """Other processes that keep cores busy."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_others)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", action="store_true")
    options = parser.parse_args()
    if options.worker:
        print(steps_per_second(options.seconds))
        return
    cores = len(os.sched_getaffinity(0))
    for num_others in (0, 1, cores):
        with beside(num_others):
            rounds = [
                {name: measured(way, options.seconds) for name, way in WAYS.items()} for _ in range(options.rounds)
            ]
        speeds = {name: median(one[name] for one in rounds) for name in WAYS}
        spinning = speeds["spinning"]
        told = ", ".join(f"{name} {speed:.2f} ({speed / spinning:.2f})" for name, speed in speeds.items())
        print(f"{cores} cores, {num_others} busy neighbours, steps/s (against spinning): {told}", flush=True)


if __name__ == "__main__":
    main()
