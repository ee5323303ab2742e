"""How good a set of answers is: overall with intervals, class by class, and how well its probabilities can be believed.

Average precision and calibration error come without an interval: a resampled set repeats pictures, which changes both
by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.estimates import Estimate
from chiasm.core.predictors import Record
from chiasm.core.tables import Value
from chiasm.evaluate._answer import Result
from chiasm.ops import classification
from chiasm.ops.bootstrap import bootstrap_mean, bootstrap_of
from chiasm.ops.classification import average_precisions, is_among_first, reliability, tallies

_TOP = 5


class ClassScore(Record):
    """How one class fared.

    Attributes:
        precision: share of the answers with it that were right; 0 where there was none.
        recall: share of its pictures that were answered right; 0 where there is none.
        f1: harmonic mean of both.
        average_precision: of its probability against all other classes; None where the test has no picture of it.
        support: pictures of it in the test.
    """

    precision: float
    recall: float
    f1: float
    average_precision: float | None
    support: int


class ReliabilityBin(Record):
    """Answers whose probability is above `low` and at most `high`.

    Attributes:
        confidence: their mean probability; 0 where there is none.
        accuracy: share of them that was right; 0 where there is none.
        count: how many there are.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


class Confused(Record):
    """How often pictures of one class were answered with another, or with itself."""

    true: str
    answered: str
    count: int


class Scores(Record):
    """How good a set of answers is.

    Attributes:
        accuracy: share of pictures whose most probable class is the right one (top-1).
        top5_accuracy: share of pictures whose class is among the five most probable ones; None with five classes or
            fewer, where it says nothing.
        balanced_accuracy: mean over the classes of the share answered right: what the accuracy would be if they were
            equally common.
        macro_f1: mean F1 over the classes that the test has or that were answered.
        mean_average_precision: mean over the classes that the test has, each against all others.
        calibration_error: how far probabilities are from what they promise: expected calibration error, 15 bins of
            equal width.
        num_test: pictures judged.
        per_class: of each class that the test has or that was answered.
        reliability: the bins of the calibration error.
        confusion: all cells of the confusion matrix that are not 0.
    """

    accuracy: Estimate
    top5_accuracy: Estimate | None
    balanced_accuracy: Estimate
    macro_f1: Estimate
    mean_average_precision: float
    calibration_error: float
    num_test: int
    per_class: dict[str, ClassScore]
    reliability: tuple[ReliabilityBin, ...]
    confusion: tuple[Confused, ...]


class Judgement(Result):
    """What every judgement of answers about classes tells.

    Attributes:
        scores: how good the answers are.
    """

    scores: Scores

    def figures(self) -> Mapping[str, Value]:
        scores = self.scores
        return {
            "pictures": scores.num_test,
            "top-1": scores.accuracy,
            "top-5": scores.top5_accuracy,
            "balanced accuracy": scores.balanced_accuracy,
            "macro F1": scores.macro_f1,
            "mAP": scores.mean_average_precision,
            "calibration error": scores.calibration_error,
        }


def score(
    probabilities: Float[np.ndarray, "B K"],
    labels: Int[np.ndarray, " B"],
    classes: Sequence[str],
    num_draws: int,
    seed: int,
) -> Scores:
    """Compare answers with the truth.

    Args:
        probabilities: of each class for each picture; the most probable one is the answer.
        labels: class index that is right.
        classes: names of the classes.
        num_draws: resampled sets of pictures behind the intervals.
        seed: of the resampling.
    """
    answers = probabilities.argmax(axis=1)
    is_right, num_classes = answers == labels, len(classes)
    precisions = average_precisions(probabilities, labels)
    bins = reliability(np.clip(probabilities.max(axis=1), 0, 1), is_right)

    def balanced(counts: Float[np.ndarray, "S B"]) -> Float[np.ndarray, " S"]:
        return tallies(answers, labels, num_classes, counts).balanced_accuracy()

    def macro_f1(counts: Float[np.ndarray, "S B"]) -> Float[np.ndarray, " S"]:
        return tallies(answers, labels, num_classes, counts).macro_f1()

    top = is_among_first(probabilities, labels, _TOP) if num_classes > _TOP else None
    return Scores(
        accuracy=bootstrap_mean(is_right, num_draws, seed),
        top5_accuracy=None if top is None else bootstrap_mean(top, num_draws, seed),
        balanced_accuracy=bootstrap_of(balanced, len(labels), num_draws, seed),
        macro_f1=bootstrap_of(macro_f1, len(labels), num_draws, seed),
        mean_average_precision=float(np.nanmean(precisions)),
        calibration_error=bins.error,
        num_test=len(labels),
        per_class=_per_class(answers, labels, classes, precisions),
        reliability=_bins(bins),
        confusion=_confusion(answers, labels, classes),
    )


def _per_class(
    answers: Int[np.ndarray, " B"],
    labels: Int[np.ndarray, " B"],
    classes: Sequence[str],
    precisions: Float[np.ndarray, " K"],
) -> dict[str, ClassScore]:
    found = tallies(answers, labels, len(classes), np.ones((1, len(labels))))
    precision, recall, f1 = found.precision()[0], found.recall()[0], found.f1()[0]
    return {
        name: ClassScore(
            precision=float(precision[place]),
            recall=float(recall[place]),
            f1=float(f1[place]),
            average_precision=None if np.isnan(precisions[place]) else float(precisions[place]),
            support=int(found.true[0, place]),
        )
        for place, name in enumerate(classes)
        if found.true[0, place] or found.answered[0, place]
    }


def _bins(bins: classification.Reliability) -> tuple[ReliabilityBin, ...]:
    num_bins = len(bins.count)
    return tuple(
        ReliabilityBin(
            low=place / num_bins,
            high=(place + 1) / num_bins,
            confidence=float(bins.confidence[place]),
            accuracy=float(bins.accuracy[place]),
            count=int(bins.count[place]),
        )
        for place in range(num_bins)
    )


def _confusion(
    answers: Int[np.ndarray, " B"], labels: Int[np.ndarray, " B"], classes: Sequence[str]
) -> tuple[Confused, ...]:
    counts = classification.confusion(answers, labels, len(classes))
    return tuple(
        Confused(true=classes[true], answered=classes[answered], count=int(counts[true, answered]))
        for true, answered in np.argwhere(counts).tolist()
    )
