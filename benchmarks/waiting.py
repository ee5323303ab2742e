"""What waiting threads cost: training speed with spinning and with sleeping threads, alone and beside other work.

OpenMP's threads wait for each other at the end of every parallel region. By default they spin for a while, which saves
microseconds on an idle machine; as soon as another process wants a core, the spinning thread burns the time slice that
the late one needs. The policy is read once per process, so every measurement is a process of its own; policies take
turns, so that the state of the machine meets both.

    python benchmarks/waiting.py [--seconds 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

BATCH = 128


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


def measured(policy: str, seconds: float) -> float:
    """Steps per second in a fresh process under one policy."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
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
                {policy: measured(policy, options.seconds) for policy in ("ACTIVE", "PASSIVE")}
                for _ in range(options.rounds)
            ]
        spinning, sleeping = (median(one[policy] for one in rounds) for policy in ("ACTIVE", "PASSIVE"))
        print(
            f"{cores} cores, {num_others} busy neighbours: spinning {spinning:.2f} steps/s, sleeping {sleeping:.2f}, "
            f"sleeping / spinning {sleeping / spinning:.2f}"
        )


if __name__ == "__main__":
    main()
