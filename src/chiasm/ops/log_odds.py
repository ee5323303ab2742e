"""What speaks for one class and against the others: the gradient of log-odds with respect to vectors.

The classifiers here are linear: logits are `vectors @ weights.T + bias`. The log-odds of a class are then its logit
minus the logarithm of the sum of the others' exponentials, and the gradient is its weights minus the mean of the
others', each counted by how likely it is among the others. So the strongest rival counts most, and what all classes
have in common cancels out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def log_odds_gradients(
    weights: Float[np.ndarray, "K D"], logits: Float[np.ndarray, "B K"], classes: Int[np.ndarray, " B"]
) -> Float[np.ndarray, "B D"]:
    """How the log-odds of one class for each vector change with the vector's numbers.

    Args:
        weights: one row per class.
        logits: of each class for each vector; -inf for a class that cannot be.
        classes: the class in question, for each vector.

    Returns:
        The gradients; of the logit itself where no other class is possible.
    """
    return weights[classes] - rival_shares(logits, classes) @ weights


def rival_shares(logits: Float[np.ndarray, "B K"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B K"]:
    """How likely each class is among all but one; 0 for that one, and for all where no other is possible.

    Args:
        logits: of each class for each vector; -inf for a class that cannot be.
        classes: the class that is left out, for each vector.
    """
    rivals = logits.astype(np.float64)
    rivals[np.arange(len(rivals)), classes] = -np.inf
    strongest = rivals.max(axis=1, keepdims=True)
    shares = np.exp(rivals - np.where(np.isfinite(strongest), strongest, 0))
    return shares / shares.sum(axis=1, keepdims=True).clip(min=1e-300)


def through_unit_length(
    gradients: Float[np.ndarray, "B D"], units: Float[np.ndarray, "B D"], norms: Float[np.ndarray, " B"]
) -> Float[np.ndarray, "B D"]:
    """Gradients with respect to vectors of any length, from those with respect to the same vectors at length 1.

    Args:
        gradients: with respect to `units`.
        units: vectors of length 1.
        norms: their lengths before.
    """
    units = units.astype(np.float64)
    across = gradients - (gradients * units).sum(axis=1, keepdims=True) * units
    return across / norms.astype(np.float64).clip(min=1e-12)[:, None]
