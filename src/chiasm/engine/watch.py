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
WARN_STEPS, WARN_SHARE = 50, 0.1
STOP_STEPS, STOP_SHARE = 200, 0.2
"""How long a doubt must last without a break, in steps and as a share of the run (both), before it is told and before
it ends the run. A random start often gives all pictures nearly one answer, and gets out of that as the learning rate
rises; that takes a tenth of a run by default. So a doubt is told when the rise did not help, and ends the run when the
peak did not help for as long again. In a short run a tenth is few steps, in which nothing is learned yet."""


def spread(embeddings: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """How far a batch of vectors is from being one vector: 0 collapsed, 1 evenly spread.

    Root of the mean over dimensions of the variance of the normalised vectors, times the root of D (the standard
    deviation test of SimSiam, Chen and He 2020, arXiv:2011.10566, section 4.1).
    """
    unit = torch.nn.functional.normalize(embeddings.float(), dim=1)
    return unit.var(dim=0, unbiased=False).sum().sqrt()


def one_vector(spread_now: float) -> str | None:
    """What a batch's spread says is wrong; None where it looks well."""
    if spread_now >= COLLAPSED_SPREAD:
        return None
    return f"all pictures are given practically one vector (spread {spread_now:.4f})"


class Watch:
    """Looks at every step; raises when going on would be a waste."""

    def __init__(self) -> None:
        self._norms: deque[float] = deque(maxlen=20)
        self._steps_in_doubt = 0
        self._well_at: float | None = None
        self._told = False

    def check(self, step: int, losses: Losses, grad_norm: float) -> None:
        """Judge loss and gradient of optimiser step number `step`.

        Raises:
            TrainingStoppedError: one of them is not finite.
        """
        total = float(losses.total.detach())
        if not (math.isfinite(total) and math.isfinite(grad_norm)):
            raise self._not_finite(step, losses, total, grad_norm)
        self._norms.append(grad_norm)

    def weigh(self, step: int, progress: float, doubt: str | None) -> str | None:
        """Weigh what looks wrong with the representation at a step.

        Args:
            step: how many are done.
            progress: share of the run that is done (0 to 1).
            doubt: what looks wrong; None where nothing does.

        Returns:
            A warning to tell, once for every time that a doubt lasts.

        Raises:
            TrainingStoppedError: the doubt has lasted too long.
        """
        if doubt is None or self._well_at is None:
            self._steps_in_doubt, self._well_at, self._told = 0, progress, False
        if doubt is None:
            return None
        self._steps_in_doubt += 1
        share = progress - self._well_at
        if self._steps_in_doubt >= STOP_STEPS and share >= STOP_SHARE:
            raise TrainingStoppedError(
                "embeddings that tell pictures apart",
                f"at step {step}, and for {self._steps_in_doubt} steps in a row, {doubt}: the representation collapsed",
                "lower the learning rate, change the temperatures if the method has any, check that the pictures "
                "differ, and start again in another folder",
            )
        if self._told or self._steps_in_doubt < WARN_STEPS or share < WARN_SHARE:
            return None
        self._told = True
        return f"{doubt}, for {self._steps_in_doubt} steps now; a run in which this lasts is stopped as collapsed"

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
