"""How many threads are worth starting."""

from __future__ import annotations

import os


def num_processors() -> int:
    """How many processors this process may use; macOS and Windows only tell how many there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
