"""Few-shot curve: how well a classifier does that learnt from one, five or twenty pictures of each class.

Each number of shots is drawn several times; a draw of five holds the picture of the draw of one. The test pictures stay
the same, so the interval tells how much the choice of examples matters and not how many were judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Splits
from chiasm.core.predictors import AnyLearner, Encoder, Learner
from chiasm.core.seeds import stream
from chiasm.core.tables import Value
from chiasm.evaluate._answer import Evaluation, Result
from chiasm.evaluate._grid import grid, name_of_test
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._vectors import SplitVectors, embed_apart
from chiasm.evaluate.linear import check_apart
from chiasm.ops.classification import tallies
from chiasm.ops.draws import mean_of_draws
from chiasm.ops.labels import rank_in_class

_FEWEST_DRAWS = 2


class FewShotResult(Result):
    """What `few_shot` found for one number of shots.

    Attributes:
        train: source of the pictures that shots were drawn from.
        shots: pictures of each class that were learnt from; all of a class that has fewer.
        accuracy, balanced_accuracy: mean over the draws, with its interval over them.
        accuracies: of each draw.
        num_short: classes that have fewer pictures than shots, or none at all.
        num_test: pictures judged.
    """

    train: str
    shots: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    accuracies: tuple[float, ...]
    num_short: int
    num_test: int

    def figures(self) -> Mapping[str, Value]:
        return {
            "shots": self.shots,
            "pictures": self.num_test,
            "top-1": self.accuracy,
            "balanced accuracy": self.balanced_accuracy,
            "draws": len(self.accuracies),
            "short classes": self.num_short,
        }


def few_shot(
    models: Sequence[Encoder],
    *,
    data: Sequence[Splits],
    learner: AnyLearner,
    shots: Sequence[int] = (1, 2, 5, 10, 20),
    draws: int = 10,
    **options: Unpack[Options],
) -> Evaluation[FewShotResult]:
    """Judge the vectors of models by what can be learnt on them from a few pictures of each class.

    Args:
        models: the encoders, one or several.
        data: training pictures, from which the shots are drawn, and test pictures, with classes; one data set or
            several.
        learner: how to learn from the shots, by vectors alone.
        shots: how many pictures of each class, one number or several.
        draws: how often the shots are drawn, at least 2.
        options: of every evaluation.

    Raises:
        InputError: an option is out of range, or no data set has two splits with classes in common.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    plan = Plan(**options)
    if not isinstance(learner, Learner):
        raise InputError("a learner that needs no names", "this one reads them", "take logistic or centroid")
    if not shots or min(shots) < 1:
        raise InputError("at least one shot per class", f"{min(shots, default='nothing')} came", "ask for 1 or more")
    if draws < _FEWEST_DRAWS:
        raise InputError("at least two draws, which can differ", f"{draws} came", "10 is usual")

    def judge(model: Encoder, splits: Splits) -> list[FewShotResult]:
        check_apart(splits)
        vectors = embed_apart(model, splits)
        counts = np.bincount(vectors.train.labels, minlength=len(vectors.classes))
        results = []
        for number in sorted(set(shots)):
            answers = [_answers(vectors, learner, number, draw, plan.seed) for draw in range(draws)]
            right = np.array([(one == vectors.test.labels).mean() for one in answers])
            results.append(
                FewShotResult(
                    model=model.name,
                    fingerprint=model.fingerprint,
                    data=splits.test.name,
                    train=splits.train.name,
                    shots=number,
                    accuracy=mean_of_draws(right),
                    balanced_accuracy=mean_of_draws(_balanced(answers, vectors)),
                    accuracies=tuple(right.tolist()),
                    num_short=int((counts < number).sum()),
                    num_test=len(vectors.test.labels),
                    skipped=vectors.skipped,
                )
            )
        return results

    found = grid(Evaluation[FewShotResult], "few-shot", map(plan.remembered, models), data, name_of_test, judge)
    return plan.finished(found, lambda pages: pages.curves)


def _answers(vectors: SplitVectors, learner: Learner, shots: int, draw: int, seed: int) -> Int[np.ndarray, " B"]:
    """Class index for each test picture after learning from some of each class that has pictures."""
    train = vectors.train
    chosen = rank_in_class(train.labels, stream(seed, "shots", draw)) < shots
    # Learners number classes without gaps; one without a training picture cannot be answered.
    present, labels = np.unique(train.labels[chosen], return_inverse=True)
    classifier = learner.fit(train.vectors[chosen], labels, len(present))
    return present[classifier.probabilities(vectors.test.vectors).argmax(axis=1)]


def _balanced(answers: Sequence[Int[np.ndarray, " B"]], vectors: SplitVectors) -> Float[np.ndarray, " S"]:
    """Balanced accuracy of each draw."""
    labels, once = vectors.test.labels, np.ones((1, len(vectors.test.labels)))
    found = [tallies(one, labels, len(vectors.classes), once).balanced_accuracy() for one in answers]
    return np.concatenate(found)
