"""Figures of a classifier against scikit-learn and against slow formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from chiasm.ops import classification
from chiasm.ops.classification import average_precisions, confusion, is_among_first, reliability, tallies

NUM_CLASSES = 6


@pytest.fixture(params=[0, 1, 2])
def asked(request) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with ties, and labels of five of the six classes."""
    generator = np.random.default_rng(request.param)
    labels = generator.integers(0, NUM_CLASSES - 1, 80)
    scores = generator.random((80, NUM_CLASSES)) + 0.6 * np.eye(NUM_CLASSES)[labels]
    rounded = np.round(scores / scores.sum(axis=1, keepdims=True), 1)
    return rounded, labels


def test_counts_are_those_of_scikit_learn(asked) -> None:
    probabilities, labels = asked
    answers = probabilities.argmax(axis=1)
    expected = metrics.confusion_matrix(labels, answers, labels=np.arange(NUM_CLASSES))
    assert np.array_equal(confusion(answers, labels, NUM_CLASSES), expected)
    found = tallies(answers, labels, NUM_CLASSES, np.ones((1, 80)))
    options: dict[str, Any] = {"labels": np.arange(NUM_CLASSES), "zero_division": 0}
    figures = metrics.precision_recall_fscore_support(labels, answers, **options)
    precision, recall, f1, support = (np.asarray(one) for one in figures)
    np.testing.assert_allclose(found.precision()[0], precision)
    np.testing.assert_allclose(found.recall()[0], recall)
    np.testing.assert_allclose(found.f1()[0], f1)
    np.testing.assert_array_equal(found.true[0], support)
    assert found.macro_f1()[0] == pytest.approx(metrics.f1_score(labels, answers, average="macro"))
    assert found.balanced_accuracy()[0] == pytest.approx(recall[support > 0].mean())


def test_counted_pictures_are_the_same_as_repeated_ones(asked) -> None:
    probabilities, labels = asked
    answers = probabilities.argmax(axis=1)
    counts = np.random.default_rng(7).integers(0, 4, (5, 80))
    found = tallies(answers, labels, NUM_CLASSES, counts.astype(float))
    for row, once in enumerate(counts):
        repeated, known = np.repeat(answers, once), np.repeat(labels, once)
        assert found.macro_f1()[row] == pytest.approx(metrics.f1_score(known, repeated, average="macro"))
        own = [(repeated[known == label] == label).mean() for label in np.unique(known)]
        assert found.balanced_accuracy()[row] == pytest.approx(np.mean(own))


def test_average_precision_is_that_of_scikit_learn(asked, monkeypatch) -> None:
    probabilities, labels = asked
    found = average_precisions(probabilities, labels)
    for label in range(NUM_CLASSES - 1):
        expected = metrics.average_precision_score(labels == label, probabilities[:, label])
        assert found[label] == pytest.approx(expected)
    assert np.isnan(found[NUM_CLASSES - 1])
    monkeypatch.setattr(classification, "_SORTED_AT_ONCE", 160)
    np.testing.assert_array_equal(average_precisions(probabilities, labels), found)


def test_average_precision_by_its_formula() -> None:
    # Ranks 1, 3 and 4 of five are right: (1/1 + 2/3 + 3/4) / 3.
    scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]])
    labels = np.array([0, 1, 0, 0, 1])
    assert average_precisions(scores, labels)[0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_top_answers_are_those_of_a_stable_order(asked) -> None:
    probabilities, labels = asked
    for most in (1, 3, 5):
        found = is_among_first(probabilities, labels, most)
        for row, label in enumerate(labels):
            order = sorted(range(NUM_CLASSES), key=lambda place: (-probabilities[row, place], place))
            assert found[row] == (label in order[:most] and probabilities[row, label] > 0)


def test_a_class_that_nothing_speaks_for_is_no_answer() -> None:
    votes = np.array([[0.0, 1.0, 0.0]])
    assert not is_among_first(votes, np.array([0]), 3)[0]
    assert is_among_first(votes, np.array([1]), 1)[0]


def test_calibration_by_its_formula() -> None:
    generator = np.random.default_rng(0)
    confidences = generator.random(500)
    confidences[:20] = np.arange(20) / 15 % 1
    is_right = generator.random(500) < confidences**2
    found = reliability(confidences, is_right)
    expected, total = 0.0, 0
    for place in range(15):
        inside = (confidences > place / 15) & (confidences <= (place + 1) / 15)
        if place == 0:
            inside |= confidences == 0
        total += inside.sum()
        assert found.count[place] == inside.sum()
        if inside.any():
            expected += inside.sum() * abs(confidences[inside].mean() - is_right[inside].mean()) / 500
    assert total == 500
    assert found.error == pytest.approx(expected)


def test_calibration_at_the_ends() -> None:
    certain = reliability(np.array([1.0, 1.0, 0.0]), np.array([True, True, False]))
    assert certain.error == 0
    assert certain.count.tolist() == [1] + [0] * 13 + [2]
    wrong = reliability(np.ones(4), np.zeros(4, bool))
    assert wrong.error == 1
