"""Multinomial logistic regression on features: the linear model behind few-shot adaptation and the linear probe.

Each dimension is standardised (as by the batch normalisation without scale and shift that linear probes put before the
layer: He et al., 2022, arXiv 2111.06377, appendix A.1), then all are divided by the square root of their number, so
that vectors have a mean squared length of 1 and one `inverse_penalty` means the same for narrow and for wide features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from chiasm.ops.log_odds import log_odds_gradients

_MAX_ITERATIONS = 2000
# Examples x dimensions x classes below which a second thread costs more in waiting than it saves in work: the solver
# makes thousands of small matrix products, and on a busy machine each of them waits for the slowest thread.
_WORTH_THREADS = 100_000_000


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """A fitted linear classifier over all K classes.

    Attributes:
        mean: subtracted from each vector.
        scale: divides each vector after that.
        weights: one row per class.
        bias: one number per class; -inf for a class that never occurred in training, whose probability is 0.
        converged: whether the solver reached its tolerance.
    """

    mean: Float[np.ndarray, " D"]
    scale: Float[np.ndarray, " D"]
    weights: Float[np.ndarray, "K D"]
    bias: Float[np.ndarray, " K"]
    converged: bool

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Probability of each class for each vector; rows sum to 1; columns are the classes 0 to K - 1."""
        return softmax(self._logits(vectors), axis=1)

    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class against the others, for each vector, change with the vector's numbers."""
        return log_odds_gradients(self.weights / self.scale, self._logits(vectors), classes)

    def _logits(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        return (vectors.astype(np.float64) - self.mean) / self.scale @ self.weights.T + self.bias

    def log_loss(self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"]) -> float:
        """Mean of -log(probability of the right class); K must be at least 2."""
        from sklearn.metrics import log_loss

        return float(log_loss(labels, self.probabilities(vectors), labels=np.arange(len(self.bias))))


def fit_logistic(
    vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int, inverse_penalty: float
) -> LogisticFit:
    """Fit by L-BFGS; the same input gives the same numbers.

    Args:
        vectors: features, any scale.
        labels: 0 to num_classes - 1; classes may be absent, and one class alone is enough.
        num_classes: K.
        inverse_penalty: scikit-learn's C: large values fit the examples closely, small ones keep the weights small.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    numbers = vectors.astype(np.float64)
    mean = numbers.mean(axis=0)
    spread = numbers.std(axis=0)
    # A constant dimension carries nothing; dividing rounding errors by a spread of rounding size would inflate them.
    spread[spread <= 1e-9 * np.abs(mean).clip(min=1e-30)] = np.inf
    scale = spread * np.sqrt(vectors.shape[1])
    present = np.unique(labels)
    weights = np.zeros((num_classes, vectors.shape[1]))
    bias = np.full(num_classes, -np.inf)
    bias[present] = 0.0
    if len(present) == 1:
        return LogisticFit(mean, scale, weights, bias, converged=True)
    solver = LogisticRegression(C=inverse_penalty, max_iter=_MAX_ITERATIONS)
    num_threads = 1 if numbers.size * len(present) < _WORTH_THREADS else None
    with warnings.catch_warnings(), threadpool_limits(num_threads, user_api="blas"):
        # Told in `converged` instead of on stderr.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # One example per class looks like a regression problem to scikit-learn, but it is what one shot means.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        solver.fit((numbers - mean) / scale, labels)
    converged = int(solver.n_iter_.max()) < _MAX_ITERATIONS
    if len(present) == 2:
        # scikit-learn keeps one row for two classes: the log odds of the second one.
        weights[present[1]], bias[present[1]] = solver.coef_[0], np.ravel(solver.intercept_)[0]
    else:
        weights[present], bias[present] = solver.coef_, solver.intercept_
    return LogisticFit(mean, scale, weights, bias, converged)
