"""Watching for training that has gone wrong, and saying so with the step and the likely cause."""

from __future__ import annotations

import math
from collections import deque

import torch
from jaxtyping import Float
from torch import Tensor

from chiasm.core.errors import TrainingStoppedError
from chiasm.core.protocols import Losses

COLLAPSED_SPREAD = 0.01
"""Below this spread all pictures get practically one vector (1 = evenly spread over the sphere)."""
PATIENCE_STEPS = 50
"""Steps in a row that must look collapsed: the first steps after a random start may pass through such a state."""


def spread(embeddings: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """How far a batch of vectors is from being one vector: 0 collapsed, 1 evenly spread.

    Root of the mean over dimensions of the variance of the normalised vectors, times the root of D (the standard
    deviation test of SimSiam, Chen and He 2020, arXiv:2011.10566, section 4.1).
    """
    unit = torch.nn.functional.normalize(embeddings.float(), dim=1)
    return unit.var(dim=0, unbiased=False).sum().sqrt()


class Watch:
    """Looks at every step's loss and gradient; raises when going on would be a waste."""

    def __init__(self) -> None:
        self._norms: deque[float] = deque(maxlen=20)
        self._flat_steps = 0

    def check(self, step: int, losses: Losses, grad_norm: float, spread_now: float) -> None:
        """Judge optimiser step number `step`.

        Raises:
            TrainingStoppedError: the loss or the gradient is not finite, or the representation has collapsed.
        """
        total = float(losses.total.detach())
        if not (math.isfinite(total) and math.isfinite(grad_norm)):
            raise self._not_finite(step, losses, total, grad_norm)
        self._norms.append(grad_norm)
        self._flat_steps = self._flat_steps + 1 if spread_now < COLLAPSED_SPREAD else 0
        if self._flat_steps >= PATIENCE_STEPS:
            raise TrainingStoppedError(
                "embeddings that tell pictures apart",
                f"by step {step} all pictures had been given one vector for {PATIENCE_STEPS} steps "
                f"(spread {spread_now:.4f}): the representation collapsed",
                "lower the learning rate or raise the temperature, check that the pictures differ, and start again in "
                "another folder",
            )

    def _not_finite(self, step: int, losses: Losses, total: float, grad_norm: float) -> TrainingStoppedError:
        terms = [name for name, value in losses.terms.items() if not math.isfinite(float(value))]
        where = f"terms {', '.join(terms)}" if terms else "the loss" if not math.isfinite(total) else "the gradient"
        typical = sorted(self._norms)[len(self._norms) // 2] if self._norms else None
        if typical is None:
            cause = "it was so from the first step, so look at the pictures and the settings"
        elif self._norms[-1] > 10 * typical:
            cause = (
                f"the gradient had grown from {typical:.3g} to {self._norms[-1]:.3g}, so the learning rate is too high"
            )
        else:
            cause = f"the gradient was steady near {typical:.3g} before, so a single batch overflowed"
        return TrainingStoppedError(
            "a finite loss and gradient",
            f"at step {step} {where} became {total if not math.isfinite(total) else grad_norm} ({cause})",
            "lower --engine.lr or --engine.clip-norm or use --engine.precision fp32, and start again elsewhere",
        )
