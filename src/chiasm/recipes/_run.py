"""What every recipe takes beside its data, trunk, objective and engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from chiasm.core.example import Splits
from chiasm.engine.events import Listener


class Run(TypedDict, total=False):
    """How a run begins and ends, and who watches it.

    Attributes:
        steps: length of the run in optimiser steps.
        minutes: length of the run in minutes of training; 30 when neither is given.
        seed: of weights, order and augmentation; 0 unless given.
        start_from: a model whose trunk is trained further: a folder, a file or a public name; its settings are kept
            but for those that are given. From the folder of a run of the same recipe, heads and teacher come along.
        resume: go on from the checkpoint in `out`, or from the start where a run was stopped before its first; without
            a length it keeps that of before.
        probe: labelled pictures for the on-line k-NN; by default labelled pictures of `data`, where it has any and no
            labels are learned from.
        listeners: told about the run as it goes.
        dry_run: only tell what the run would cost, from a few of its steps; nothing is written.
    """

    steps: int | None
    minutes: float | None
    seed: int
    start_from: str | None
    resume: bool
    probe: Splits | None
    listeners: Sequence[Listener]
    dry_run: bool
