"""Linear probe: how well logistic regression on frozen vectors tells the classes apart.

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    appendix A.3: L-BFGS, the penalty chosen on held-out training pictures, then a fit on all of them.
Differs: the penalty is judged by log loss, not by accuracy, and searched from strict to loose until the loss rises;
    dimensions are standardised first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from jaxtyping import Bool, Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.core.seeds import stream
from chiasm.evaluate._answer import Evaluation
from chiasm.evaluate._grid import grid, name_of_test
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._scores import Judgement, score
from chiasm.evaluate._vectors import SplitVectors, embed_apart
from chiasm.ops.labels import rank_in_class
from chiasm.ops.logistic import LogisticFit, fit_logistic

# Candidates for C on vectors of unit mean squared length, from strict to loose, half a decade apart.
_INVERSE_PENALTIES = tuple(float(10.0**power) for power in np.arange(-2, 4.5, 0.5))
# Used when no class has two pictures, so that nothing can be held out.
_DEFAULT_INVERSE_PENALTY = 10.0


class LinearResult(Judgement):
    """What `linear` found.

    Attributes:
        train: source of the training pictures.
        num_train: training pictures that were used.
        inverse_penalty: the C that was chosen.
        converged: whether the final fit reached the solver's tolerance.
        num_held_out: training pictures on which C was chosen before the fit on all of them.
    """

    train: str
    num_train: int
    inverse_penalty: float
    converged: bool
    num_held_out: int


def linear(
    models: Sequence[Encoder], *, data: Sequence[Splits], held_out: float = 0.2, **options: Unpack[Options]
) -> Evaluation[LinearResult]:
    """Judge the vectors of models by logistic regression on them; the models themselves stay as they are.

    Args:
        models: the encoders, one or several.
        data: training and test pictures, with classes; one data set or several.
        held_out: share of each class's training pictures on which the strength of the penalty is chosen.
        options: of every evaluation.

    Raises:
        InputError: an option is out of range, or no data set has two splits with classes in common.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_held_out(held_out)
    plan = Plan(**options)

    def judge(model: Encoder, splits: Splits) -> list[LinearResult]:
        check_apart(splits)
        vectors = embed_apart(model, splits)
        probe = fit_probe(vectors, held_out, plan.seed)
        probabilities = probe.fit.probabilities(vectors.test.vectors)
        return [
            LinearResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=splits.test.name,
                train=splits.train.name,
                scores=score(probabilities, vectors.test.labels, vectors.classes, plan.bootstrap, plan.seed),
                inverse_penalty=probe.inverse_penalty,
                converged=probe.fit.converged,
                num_train=len(vectors.train.labels),
                num_held_out=probe.num_held_out,
                skipped=vectors.skipped,
            )
        ]

    return plan.finished(
        grid(Evaluation[LinearResult], "linear", map(plan.remembered, models), data, name_of_test, judge),
        lambda pages: pages.classification,
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


def fit_probe(vectors: SplitVectors, held_out: float, seed: int) -> Probe:
    """Choose the penalty on held-out training pictures, then fit on all of them."""
    train, num_classes = vectors.train, len(vectors.classes)
    is_held_out = _held_out(train.labels, held_out, seed)
    strength = _inverse_penalty(train.vectors, train.labels, num_classes, is_held_out)
    fit = fit_logistic(train.vectors, train.labels, num_classes, strength)
    return Probe(fit, strength, int(is_held_out.sum()))


def check_held_out(held_out: float) -> None:
    """Refuse a share that leaves nothing to fit or to choose on.

    Raises:
        InputError: it is not between 0 and 1.
    """
    if not 0 < held_out < 1:
        raise InputError("a held-out share between 0 and 1", f"{held_out} came", "0.2 is usual")


def check_apart(data: Splits) -> None:
    """Refuse what no fitted classifier can be honestly judged on.

    Raises:
        InputError: both splits are the same source.
    """
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
