"""Randomness is an argument: every random number descends from (seed, what it is for).

`stream(seed, "augment", step, slot)` is the same on every machine and in every order of calls, which is what lets a
resumed run continue bit for bit and lets threads work in any order.
"""

from __future__ import annotations

import zlib

import numpy as np

from chiasm.core.errors import InputError


def stream(seed: int, *purpose: int | str) -> np.random.Generator:
    """An independent generator for one purpose.

    Args:
        seed: the run's seed, at least 0.
        purpose: names and counters that tell this use from every other.
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose)))


def derive(seed: int, *purpose: int | str) -> int:
    """A seed (63 bit) for a library that wants an integer."""
    return int(_key(seed, purpose)[0] >> np.uint64(1))


def _key(seed: int, purpose: tuple[int | str, ...]) -> np.ndarray:
    if seed < 0:
        raise InputError("a seed of at least 0", f"{seed} came", "choose another --seed")
    words = [seed] + [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in purpose]
    return np.random.SeedSequence(words).generate_state(2, np.uint64)
