"""A classifier that looks examples up: class names speak, and examples near a picture speak for their classes.

Paper: Zhang et al., 2021, "Tip-Adapter: Training-free CLIP-Adapter for Better Vision-Language Modeling" (arXiv
    2111.03930), section 3.1: logits are those of the names plus alpha * exp(-beta * (1 - cosine with each example)),
    added up by class.
Differs: cosines with the names are scaled as the model itself scales them, as in the authors' own code; the bias of a
    model that was trained with a sigmoid is the same for all classes and left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.special import softmax

from chiasm.ops.log_odds import rival_shares
from chiasm.ops.vectors import unit_rows

# Pictures looked up at once: with 16,000 examples their affinities are 32 MB.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class CacheClassifier:
    """Names and examples together.

    Attributes:
        keys: a vector for each example.
        labels: class of each example.
        classes: a vector of length 1 for each class, from its name.
        scale: of the cosines with these.
        alpha: how much examples count beside names.
        beta: how quickly an example counts less the farther it is.
    """

    keys: Float[np.ndarray, "R D"]
    labels: Int[np.ndarray, " R"]
    classes: Float[np.ndarray, "K D"]
    scale: float
    alpha: float
    beta: float

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Softmax of the logits of vectors; rows sum to 1."""
        return softmax(self.logits(vectors), axis=1)

    def logits(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """What names and examples say together."""
        units = precise_units(vectors)
        by_name = self.scale * units @ self.classes.T
        parts = [
            evidence(
                affinities(units[start : start + _ROWS_AT_ONCE], self.keys, self.beta), self.labels, len(self.classes)
            )
            for start in range(0, len(units), _ROWS_AT_ONCE)
        ]
        return by_name + self.alpha * np.concatenate([np.zeros((0, len(self.classes))), *parts])

    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class, for each vector of length 1, change with the vector's numbers."""
        units = precise_units(vectors)
        against = -rival_shares(self.logits(vectors), classes)
        against[np.arange(len(units)), classes] = 1
        near = affinities(units, self.keys, self.beta) * against[:, self.labels]
        return self.scale * against @ self.classes + self.alpha * self.beta * near @ self.keys


def affinities(
    units: Float[np.ndarray, "B D"], keys: Float[np.ndarray, "R D"], beta: float
) -> Float[np.ndarray, "B R"]:
    """How much each example has to say about each vector: 1 for itself, less with the distance."""
    return np.exp(-beta * (1 - units @ keys.T))


def evidence(
    found: Float[np.ndarray, "B R"], labels: Int[np.ndarray, " R"], num_classes: int
) -> Float[np.ndarray, "B K"]:
    """Affinities added up by class."""
    members = sparse.csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))), (num_classes, len(labels)))
    return (members @ found.T).T


def precise_units(vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B D"]:
    """Rows scaled to length 1, in double precision."""
    return unit_rows(vectors.astype(np.float64))[0]
