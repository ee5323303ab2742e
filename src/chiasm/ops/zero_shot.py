"""Zero-shot classification: sentences about classes make a classifier of pictures.

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    section 3.1.2 for the softmax of scaled cosines and 3.1.4 for averaging over prompts in the space of the vectors;
    Zhai et al., 2023, "Sigmoid Loss for Language Image Pre-Training" (arXiv 2303.15343), equation 1, for the sigmoid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, softmax

from chiasm.ops.log_odds import log_odds_gradients
from chiasm.ops.vectors import unit_rows


def class_vectors(prompts: Float[np.ndarray, "K _ D"]) -> Float[np.ndarray, "K D"]:
    """One vector of length 1 per class: the mean of its prompts' vectors, each taken at length 1.

    Args:
        prompts: vectors of any length of the sentences about each class, equally many for each.
    """
    num_classes, num_prompts, width = prompts.shape
    units, _ = unit_rows(prompts.reshape(num_classes * num_prompts, width))
    means, _ = unit_rows(units.reshape(num_classes, num_prompts, width).mean(axis=1))
    return means


@dataclass(frozen=True, slots=True)
class SoftmaxOfCosines:
    """One of the classes is right (CLIP): softmax(scale * cosine), rows sum to 1.

    Attributes:
        classes: one vector of length 1 per class.
        scale: of the cosines, above 0.
    """

    classes: Float[np.ndarray, "K D"]
    scale: float

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Shares of each class for vectors of length 1."""
        return softmax(self.scale * _cosines(vectors, self.classes), axis=1)

    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class against the others, for each vector, change with the vector's numbers."""
        return log_odds_gradients(self.scale * self.classes, self.scale * _cosines(vectors, self.classes), classes)


@dataclass(frozen=True, slots=True)
class SigmoidOfCosines:
    """Each class on its own is right or not (SigLIP): sigmoid(scale * cosine + bias), rows need not sum to 1.

    Attributes:
        classes: one vector of length 1 per class.
        scale: of the cosines, above 0.
        bias: what is added after that.
    """

    classes: Float[np.ndarray, "K D"]
    scale: float
    bias: float

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Probability of each class for vectors of length 1, whatever the other classes are."""
        return expit(self.scale * _cosines(vectors, self.classes) + self.bias)

    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class, had one of them to be chosen, change with each vector's numbers."""
        return log_odds_gradients(self.scale * self.classes, self.scale * _cosines(vectors, self.classes), classes)


def _cosines(vectors: Float[np.ndarray, "B D"], classes: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "B K"]:
    return vectors.astype(np.float64) @ classes.astype(np.float64).T
