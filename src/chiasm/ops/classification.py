"""Figures of a classifier: what was answered for what was true, precision and recall, average precision, calibration.

Counts are taken with a weight for each picture, so that a bootstrap computes them for all its resampled sets at once;
scikit-learn has the same figures for one set, takes longer to be imported than these take to be computed, and is what
they are checked against in the tests.

Paper: Guo et al., 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599), section 2, equation 3: expected
    calibration error over bins of equal width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

CALIBRATION_BINS = 15
# Numbers sorted at once: 8 million of 8 bytes, and their order, are 128 MB.
_SORTED_AT_ONCE = 8_000_000


@dataclass(frozen=True, slots=True)
class Tallies:
    """How often classes were true, answered, and both, in each of some sets of pictures.

    Attributes:
        true: pictures of each class.
        answered: pictures for which each class was answered.
        right: pictures of each class for which it was answered.
    """

    true: Float[np.ndarray, "S K"]
    answered: Float[np.ndarray, "S K"]
    right: Float[np.ndarray, "S K"]

    def recall(self) -> Float[np.ndarray, "S K"]:
        """Share of each class's pictures that were answered with it; 0 where there is none."""
        return self.right / np.maximum(self.true, 1)

    def precision(self) -> Float[np.ndarray, "S K"]:
        """Share of each class's answers that were right; 0 where it was never answered."""
        return self.right / np.maximum(self.answered, 1)

    def f1(self) -> Float[np.ndarray, "S K"]:
        """Harmonic mean of precision and recall; 0 where nothing was right."""
        return 2 * self.right / np.maximum(self.true + self.answered, 1)

    def balanced_accuracy(self) -> Float[np.ndarray, " S"]:
        """Mean recall over the classes that a set has."""
        return _mean_over(self.recall(), self.true > 0)

    def macro_f1(self) -> Float[np.ndarray, " S"]:
        """Mean F1 over the classes that a set has or that were answered in it."""
        return _mean_over(self.f1(), (self.true > 0) | (self.answered > 0))


def tallies(
    answers: Int[np.ndarray, " B"],
    labels: Int[np.ndarray, " B"],
    num_classes: int,
    counts: Float[np.ndarray, "S B"],
) -> Tallies:
    """Count.

    Args:
        answers: class index that was answered for each picture.
        labels: class index that is right.
        num_classes: K.
        counts: how often each picture is in each set.
    """
    is_right = answers == labels
    return Tallies(
        true=_sums(counts, labels, num_classes),
        answered=_sums(counts, answers, num_classes),
        right=_sums(counts[:, is_right], labels[is_right], num_classes),
    )


def confusion(
    answers: Int[np.ndarray, " B"], labels: Int[np.ndarray, " B"], num_classes: int
) -> Int[np.ndarray, "K K"]:
    """How often the class of the row was answered with the class of the column."""
    cells = np.bincount(labels * num_classes + answers, minlength=num_classes * num_classes)
    return cells.reshape(num_classes, num_classes)


def is_among_first(
    probabilities: Float[np.ndarray, "B K"], labels: Int[np.ndarray, " B"], num_first: int
) -> Bool[np.ndarray, " B"]:
    """Whether the right class is among the most probable ones; one with the probability 0 never is.

    Of classes that are equally probable the first counts as the more probable one.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    num_before = (probabilities > own).sum(axis=1)
    num_before += ((probabilities == own) & (np.arange(probabilities.shape[1]) < labels[:, None])).sum(axis=1)
    return (num_before < num_first) & (own[:, 0] > 0)


def average_precisions(scores: Float[np.ndarray, "B K"], labels: Int[np.ndarray, " B"]) -> Float[np.ndarray, " K"]:
    """Average precision of each class against all others: sum of precision times gain in recall, without interpolation.

    Pictures with the same score are taken together.

    Returns:
        One number for each class, NaN for a class without a picture.
    """
    num_pictures, num_classes = scores.shape
    step = max(_SORTED_AT_ONCE // max(num_pictures, 1), 1)
    parts = [
        _average_precisions(scores[:, start : start + step], labels - start) for start in range(0, num_classes, step)
    ]
    return np.concatenate(parts)


def _average_precisions(scores: Float[np.ndarray, "B K"], labels: Int[np.ndarray, " B"]) -> Float[np.ndarray, " K"]:
    num_pictures, num_classes = scores.shape
    order = np.argsort(-scores, axis=0, kind="stable")
    falling = np.take_along_axis(scores, order, axis=0)
    is_own = labels[order] == np.arange(num_classes)
    found = np.cumsum(is_own, axis=0)
    precision = found / np.arange(1, num_pictures + 1)[:, None]
    # Of a run of equal scores only the end is a threshold; a picture within it gets the precision there.
    is_end = np.ones_like(is_own)
    is_end[:-1] = falling[:-1] != falling[1:]
    ends = np.where(is_end, np.arange(num_pictures)[:, None], num_pictures - 1)
    ends = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
    at_end = np.take_along_axis(precision, ends, axis=0)
    totals = is_own.sum(axis=0)
    return np.where(totals > 0, (at_end * is_own).sum(axis=0) / np.maximum(totals, 1), np.nan)


@dataclass(frozen=True, slots=True)
class Reliability:
    """How sure answers were and how often they were right, in bins of equal width from 0 to 1.

    Attributes:
        confidence: mean probability of the answers in each bin; 0 where there is none.
        accuracy: share of them that was right; 0 where there is none.
        count: how many there are.
    """

    confidence: Float[np.ndarray, " S"]
    accuracy: Float[np.ndarray, " S"]
    count: Int[np.ndarray, " S"]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy over the pictures."""
        return float((self.count * np.abs(self.confidence - self.accuracy)).sum() / max(self.count.sum(), 1))


def reliability(
    confidences: Float[np.ndarray, " B"], is_right: Bool[np.ndarray, " B"], num_bins: int = CALIBRATION_BINS
) -> Reliability:
    """Put answers into bins by their probability; a bin holds its upper end and not its lower one.

    Args:
        confidences: probability of each answer, 0 to 1.
        is_right: whether it was right.
        num_bins: bins of equal width.
    """
    places = np.clip(np.ceil(confidences * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    count = np.bincount(places, minlength=num_bins)
    sums = (np.bincount(places, values, minlength=num_bins) for values in (confidences, is_right.astype(np.float64)))
    confidence, accuracy = (total / np.maximum(count, 1) for total in sums)
    return Reliability(confidence, accuracy, count)


def _sums(
    counts: Float[np.ndarray, "S B"], classes: Int[np.ndarray, " B"], num_classes: int
) -> Float[np.ndarray, "S K"]:
    """Counts of the pictures of each class added up."""
    rows = np.arange(len(classes))
    of_class = csr_array((np.ones(len(classes)), (classes, rows)), shape=(num_classes, len(classes)))
    return np.asarray((of_class @ counts.T).T)


def _mean_over(values: Float[np.ndarray, "S K"], is_there: Bool[np.ndarray, "S K"]) -> Float[np.ndarray, " S"]:
    return (values * is_there).sum(axis=1) / np.maximum(is_there.sum(axis=1), 1)
