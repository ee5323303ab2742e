"""Schedules as pure functions of progress (0 at the start of training, 1 at its end)."""

from __future__ import annotations

import math


def cosine(progress: float, start: float, end: float) -> float:
    """Half a cosine from `start` (progress 0) to `end` (progress 1); constant outside."""
    position = min(max(progress, 0.0), 1.0)
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * position))


def warmup_cosine(progress: float, peak: float, warmup: float, end: float = 0.0) -> float:
    """Linear rise from 0 to `peak` over the share `warmup` of training, then half a cosine to `end`."""
    if progress < warmup:
        return peak * max(progress, 0.0) / warmup
    return cosine((progress - warmup) / max(1.0 - warmup, 1e-12), peak, end)
