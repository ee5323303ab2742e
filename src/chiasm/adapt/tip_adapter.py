"""Tip-Adapter: class names and a few examples of each together, with nothing to train.

Paper: Zhang et al., 2021, "Tip-Adapter: Training-free CLIP-Adapter for Better Vision-Language Modeling" (arXiv
    2111.03930), section 3.1.
Differs: alpha and beta are not searched on a validation set. With `min_shots` examples of each class they are those of
    a grid with the lowest log loss when each example is judged by the names and the other examples; else the paper's
    own for ImageNet (alpha = 1, beta = 5.5). Pictures are encoded once, not averaged over random crops.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from scipy.special import log_softmax

from chiasm.adapt._cache import CacheClassifier, affinities, evidence, precise_units
from chiasm.core.config import Config as BaseConfig
from chiasm.core.predictors import NamedClasses

# Examples judged at once: with 16,000 of them their affinities are 32 MB.
_ROWS_AT_ONCE = 256


class Config(BaseConfig):
    """Settings of Tip-Adapter.

    Attributes:
        alpha: how much examples count beside names, when it is not chosen.
        beta: how quickly an example counts less the farther it is, when it is not chosen.
        alphas, betas: the grid that is chosen from; 0 leaves the examples out.
        min_shots: examples of the rarest class from which alpha and beta are chosen; at least 2.
    """

    alpha: float = Field(default=1.0, ge=0)
    beta: float = Field(default=5.5, gt=0)
    alphas: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(0.0, 0.5, 1.0, 2.0, 4.0, 8.0), min_length=1)
    betas: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1.0, 2.5, 5.5, 10.0, 20.0), min_length=1)
    min_shots: int = Field(default=4, ge=2)

    def build(self) -> TipAdapter:
        return TipAdapter(self)


@dataclass(frozen=True, slots=True)
class TipAdapter:
    """Keeps the examples beside the names."""

    config: Config

    def fit_named(
        self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], named: NamedClasses
    ) -> CacheClassifier:
        """Choose how much the examples count, and keep them; a class without examples is known by its name."""
        units, classes = precise_units(vectors), precise_units(named.vectors)
        alpha, beta = self.chosen(units, labels, classes, named.text.logit_scale)
        return CacheClassifier(units, labels, classes, named.text.logit_scale, alpha, beta)

    def chosen(
        self,
        units: Float[np.ndarray, "B D"],
        labels: Int[np.ndarray, " B"],
        classes: Float[np.ndarray, "K D"],
        scale: float,
    ) -> tuple[float, float]:
        """The alpha and beta that `fit_named` uses; the smaller ones of equals.

        Args:
            units: of the examples, of length 1.
            labels: of the examples.
            classes: vectors of length 1 from the names.
            scale: of the cosines.
        """
        if np.unique(labels, return_counts=True)[1].min() < self.config.min_shots:
            return self.config.alpha, self.config.beta
        by_name = scale * units @ classes.T
        alphas, betas = sorted(self.config.alphas), sorted(self.config.betas)
        others = {beta: _by_the_others(units, labels, len(classes), beta) for beta in betas}
        rows = np.arange(len(labels))
        losses = [
            -log_softmax(by_name + alpha * others[beta], axis=1)[rows, labels].mean()
            for alpha, beta in product(alphas, betas)
        ]
        return list(product(alphas, betas))[int(np.argmin(losses))]


def _by_the_others(
    units: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int, beta: float
) -> Float[np.ndarray, "B K"]:
    """What all examples but itself say about each example."""
    parts = []
    for start in range(0, len(units), _ROWS_AT_ONCE):
        found = affinities(units[start : start + _ROWS_AT_ONCE], units, beta)
        found[np.arange(len(found)), np.arange(start, start + len(found))] = 0
        parts.append(evidence(found, labels, num_classes))
    return np.concatenate(parts)
