"""How fast the embedded world makes pictures on one core, against the goal of 300 pictures per second at 64 px.

Run: python benchmarks/world.py [size_px]

Each figure is the best of several short rounds, on one thread; all the rounds take turns, so a busy machine slows all
of them alike. "picture" is the usual training path; "everything" adds truth, captions, questions and an edit (which is
a second picture).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import cv2

from chiasm.data.world.world import World

GOAL_PER_SECOND = 300
ROUNDS = 12
ROUND_SECONDS = 0.25


def main() -> None:
    size_px = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    cv2.setNumThreads(1)
    worlds = {name: World(size_px=size_px, domain=name) for name in ("photo", "sketch", "painting", "night")}
    single = World(size_px=size_px, min_objects=1, max_objects=1)
    photo = worlds["photo"]
    jobs: dict[str, Callable[[int], object]] = {
        "scene only (photo)": photo.scene,
        **{f"picture ({name})": world.picture for name, world in worlds.items()},
        "picture (photo, one object)": single.picture,
        "picture and truth": lambda index: photo.example(index, truth=True),
        "picture and language": lambda index: photo.example(index, language=True),
        "everything": lambda index: photo.example(index, truth=True, language=True, edit=True),
    }
    best = dict.fromkeys(jobs, 0.0)
    for job in jobs.values():
        for index in range(60):
            job(index)
    for turn in range(ROUNDS):
        for name, job in jobs.items():
            best[name] = max(best[name], rate(job, turn * 1000))
    print(f"{size_px} px, one thread, best of {ROUNDS} rounds; goal {GOAL_PER_SECOND}/s")
    for name, per_second in best.items():
        print(f"  {name:28} {per_second:8.0f}/s   {per_second / GOAL_PER_SECOND:5.2f} x goal")


def rate(job: Callable[[int], object], first: int) -> float:
    """Calls per second over one round."""
    start, index = time.perf_counter(), first
    while time.perf_counter() - start < ROUND_SECONDS:
        job(index)
        index += 1
    return (index - first) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
