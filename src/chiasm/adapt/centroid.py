"""Nearest class centroid on the unit sphere: the few-shot classifier with nothing to fit.

Paper: Snell et al., 2017, "Prototypical Networks for Few-shot Learning" (arXiv 1703.05175), section 2.2: a softmax over
    the negated distances to the mean of each class.
Differs: vectors and centroids are of unit length and compared by cosine, divided by a fixed temperature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from scipy.special import softmax

from chiasm.core.config import Config as BaseConfig
from chiasm.ops.log_odds import log_odds_gradients
from chiasm.ops.vectors import unit_rows


class Config(BaseConfig):
    """Settings of the nearest-centroid learner.

    Attributes:
        temperature: of the softmax over cosines. It does not change which class wins, only how sure the answer looks;
            0.07 turns a lead of 0.1 in cosine into odds of 4 to 1.
    """

    temperature: float = Field(default=0.07, gt=0)

    def build(self) -> CentroidLearner:
        return CentroidLearner(self.temperature)


@dataclass(frozen=True, slots=True)
class CentroidClassifier:
    """A fitted nearest-centroid classifier.

    Attributes:
        centroids: one row of unit length per class.
        temperature: divides the cosines.
    """

    centroids: Float[np.ndarray, "K D"]
    temperature: float

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Softmax of cosine / temperature; rows sum to 1; columns are the classes 0 to K - 1."""
        return softmax(self._logits(vectors), axis=1)

    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class, for each vector of length 1, change with the vector's numbers."""
        return log_odds_gradients(self.centroids / self.temperature, self._logits(vectors), classes)

    def _logits(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        return _unit(vectors) @ self.centroids.T / self.temperature


@dataclass(frozen=True, slots=True)
class CentroidLearner:
    """Averages the unit vectors of each class."""

    temperature: float

    def fit(
        self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int
    ) -> CentroidClassifier:
        """Fit; every class 0 to num_classes - 1 occurs at least once in `labels`.

        Raises:
            ValueError: a class has no example, so it has no centroid.
        """
        counts = np.bincount(labels, minlength=num_classes)
        if (counts == 0).any():
            raise ValueError(f"every class needs an example, but class {int(counts.argmin())} has none")
        sums = np.zeros((num_classes, vectors.shape[1]))
        np.add.at(sums, labels, _unit(vectors))
        return CentroidClassifier(_unit(sums), self.temperature)


def _unit(vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B D"]:
    """Rows scaled to length 1, in double precision."""
    return unit_rows(vectors.astype(np.float64))[0]
