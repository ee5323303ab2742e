"""Logistic regression on few labelled vectors, as strict as cross-validation on them says.

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    appendix A.3: logistic regression by L-BFGS on frozen features, of which only the penalty is tuned.
Differs: the penalty is chosen by stratified cross-validation on the shots themselves, by log loss (few shots make
    accuracy a staircase), from a short grid; with too few shots of a class for that, a fixed default is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from chiasm.core.config import Config as BaseConfig
from chiasm.core.seeds import stream
from chiasm.ops.labels import rank_in_class
from chiasm.ops.logistic import LogisticFit, fit_logistic


class Config(BaseConfig):
    """Settings of the logistic-regression learner.

    Attributes:
        inverse_penalties: candidates for scikit-learn's C, on vectors of unit mean squared length.
        default_inverse_penalty: used when a class has fewer than `min_shots` examples.
        min_shots: examples of the rarest class from which cross-validation is worth its noise; at least 2.
        max_folds: folds of the cross-validation; no more than the rarest class has examples.
        seed: deals the examples over the folds.
    """

    inverse_penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.1, 1.0, 10.0, 100.0, 1000.0), min_length=1
    )
    default_inverse_penalty: float = Field(default=10.0, gt=0)
    min_shots: int = Field(default=4, ge=2)
    max_folds: int = Field(default=5, ge=2)
    seed: int = Field(default=0, ge=0)

    def build(self) -> LogisticLearner:
        return LogisticLearner(self)


@dataclass(frozen=True, slots=True)
class LogisticLearner:
    """Chooses the penalty, then fits on all examples."""

    config: Config

    def fit(self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int) -> LogisticFit:
        """Fit; a class without examples gets probability 0."""
        return fit_logistic(vectors, labels, num_classes, self.inverse_penalty(vectors, labels, num_classes))

    def inverse_penalty(
        self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int
    ) -> float:
        """The C that `fit` uses: lowest log loss on left-out folds, the stricter one of equals."""
        present, counts = np.unique(labels, return_counts=True)
        if len(present) < 2 or counts.min() < self.config.min_shots:
            return self.config.default_inverse_penalty
        num_folds = min(self.config.max_folds, int(counts.min()))
        folds = rank_in_class(labels, stream(self.config.seed, "folds")) % num_folds
        candidates = sorted(self.config.inverse_penalties)
        losses = np.zeros(len(candidates))
        for fold in range(num_folds):
            kept, left_out = folds != fold, folds == fold
            fits = (fit_logistic(vectors[kept], labels[kept], num_classes, strength) for strength in candidates)
            losses += left_out.sum() * np.array([fit.log_loss(vectors[left_out], labels[left_out]) for fit in fits])
        return candidates[int(losses.argmin())]
