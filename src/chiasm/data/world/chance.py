"""Draws from an explicit generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


def pick(draw: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    """One of the choices, each equally likely."""
    return choices[int(draw.integers(len(choices)))]


def shuffled(draw: np.random.Generator, choices: Sequence[Choice]) -> list[Choice]:
    """The choices in random order."""
    return [choices[int(index)] for index in draw.permutation(len(choices))]
