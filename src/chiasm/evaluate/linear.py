"""Linear probe: how well logistic regression on frozen vectors tells the classes apart.

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    appendix A.3: L-BFGS, the penalty chosen on held-out training pictures, then a fit on all of them.
Differs: the penalty is judged by log loss, not by accuracy, and searched from strict to loose until the loss rises;
    dimensions are standardised first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.core.seeds import stream
from chiasm.evaluate._scores import Judgement, check_draws, score
from chiasm.evaluate._vectors import SplitVectors, embed_splits
from chiasm.ops.labels import rank_in_class
from chiasm.ops.logistic import LogisticFit, fit_logistic

# Candidates for C on vectors of unit mean squared length, from strict to loose, half a decade apart.
_INVERSE_PENALTIES = tuple(float(10.0**power) for power in np.arange(-2, 4.5, 0.5))
# Used when no class has two pictures, so that nothing can be held out.
_DEFAULT_INVERSE_PENALTY = 10.0


class LinearResult(Judgement):
    """What `linear` found.

    Attributes:
        inverse_penalty: the C that was chosen.
        converged: whether the final fit reached the solver's tolerance.
        num_held_out: training pictures on which C was chosen before the fit on all of them.
    """

    inverse_penalty: float
    converged: bool
    num_held_out: int


def linear(model: Encoder, data: Splits, held_out: float = 0.2, bootstrap: int = 1000, seed: int = 0) -> LinearResult:
    """Judge a model's vectors by logistic regression on them; the model itself stays as it is.

    Args:
        model: the encoder.
        data: training and test pictures, with classes.
        held_out: share of each class's training pictures on which the strength of the penalty is chosen.
        bootstrap: resampled sets of test pictures behind the interval.
        seed: draws the held-out pictures and the resampled sets.

    Raises:
        InputError: an option is out of range, the splits have no classes in common or are the same source.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_draws(bootstrap)
    check_probe(data, held_out)
    vectors = embed_splits(model, data)
    probe = fit_probe(vectors, held_out, seed)
    answers = probe.answers(vectors)
    return LinearResult(
        model=model.name,
        fingerprint=model.fingerprint,
        train=data.train.name,
        test=data.test.name,
        scores=score(answers, vectors.test.labels, vectors.classes, bootstrap, seed),
        inverse_penalty=probe.inverse_penalty,
        converged=probe.fit.converged,
        num_train=len(vectors.train.labels),
        num_held_out=probe.num_held_out,
        skipped=vectors.skipped,
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """A fitted probe and how it was chosen.

    Attributes:
        fit: fitted on all training pictures.
        inverse_penalty: the C that was chosen.
        num_held_out: pictures on which it was chosen.
    """

    fit: LogisticFit
    inverse_penalty: float
    num_held_out: int

    def answers(self, vectors: SplitVectors) -> Int[np.ndarray, " B"]:
        """Most probable class index for each test picture."""
        return self.fit.probabilities(vectors.test.vectors).argmax(axis=1)


def fit_probe(vectors: SplitVectors, held_out: float, seed: int) -> Probe:
    """Choose the penalty on held-out training pictures, then fit on all of them."""
    train, num_classes = vectors.train, len(vectors.classes)
    is_held_out = _held_out(train.labels, held_out, seed)
    strength = _inverse_penalty(train.vectors, train.labels, num_classes, is_held_out)
    fit = fit_logistic(train.vectors, train.labels, num_classes, strength)
    return Probe(fit, strength, int(is_held_out.sum()))


def check_probe(data: Splits, held_out: float) -> None:
    """Refuse what no probe can be fitted or honestly judged on.

    Raises:
        InputError: the held-out share is not between 0 and 1, or both splits are the same source.
    """
    if not 0 < held_out < 1:
        raise InputError("a held-out share between 0 and 1", f"{held_out} came", "0.2 is usual")
    if data.train.name == data.test.name:
        raise InputError(
            "a test split apart from the training split", f"both are {data.test.name}", "use two splits, or `knn`"
        )


def _held_out(labels: Int[np.ndarray, " B"], share: float, seed: int) -> Bool[np.ndarray, " B"]:
    """A share of each class, at least one picture of every class that has two and never all of a class."""
    counts = np.bincount(labels)
    num_each = np.clip(np.rint(share * counts), 1, counts - 1)
    return rank_in_class(labels, stream(seed, "held out")) < num_each[labels]


def _inverse_penalty(
    vectors: Float[np.ndarray, "B D"],
    labels: Int[np.ndarray, " B"],
    num_classes: int,
    is_held_out: Bool[np.ndarray, " B"],
) -> float:
    """The C with the lowest log loss on the held-out pictures; loose fits take longest, so the search stops early."""
    if not is_held_out.any():
        return _DEFAULT_INVERSE_PENALTY
    best, lowest = _DEFAULT_INVERSE_PENALTY, np.inf
    for strength in _INVERSE_PENALTIES:
        fit = fit_logistic(vectors[~is_held_out], labels[~is_held_out], num_classes, strength)
        loss = fit.log_loss(vectors[is_held_out], labels[is_held_out])
        if loss >= lowest:
            break
        best, lowest = strength, loss
    return best
