"""Logistic regression: columns are class numbers, whatever classes the examples hold."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.ops.logistic import fit_logistic


def clusters(labels: np.ndarray, width: int = 6, spread: float = 0.3, seed: int = 0) -> np.ndarray:
    centres = np.random.default_rng(99).normal(size=(int(labels.max()) + 1, width))
    return centres[labels] + spread * np.random.default_rng(seed).normal(size=(len(labels), width))


@pytest.mark.parametrize("present", [(1, 3), (0, 2, 4), (0, 1, 2, 3, 4), (3,)])
def test_columns_are_class_numbers_even_when_classes_are_missing(present: tuple[int, ...]) -> None:
    labels = np.repeat(present, 12)
    fit = fit_logistic(clusters(labels), labels, 5, 10.0)
    probabilities = fit.probabilities(clusters(labels, seed=1))
    assert probabilities.shape == (len(labels), 5)
    assert (probabilities.argmax(axis=1) == labels).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    absent = [label for label in range(5) if label not in present]
    assert (probabilities[:, absent] == 0).all()


@pytest.mark.parametrize("num_classes", [2, 4])
def test_agrees_with_scikit_learn(num_classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    labels = np.arange(60) % num_classes
    vectors = clusters(labels, spread=1.0)
    scaled = (vectors - vectors.mean(0)) / vectors.std(0) / np.sqrt(vectors.shape[1])
    expected = LogisticRegression(C=3.0, max_iter=2000).fit(scaled, labels).predict_proba(scaled)
    np.testing.assert_allclose(fit_logistic(vectors, labels, num_classes, 3.0).probabilities(vectors), expected)


def test_scale_and_offset_of_dimensions_do_not_matter() -> None:
    labels = np.arange(60) % 3
    vectors = clusters(labels, spread=1.0)
    moved = vectors * np.array([1e-3, 1, 10, 1e4, 1, 1]) + 100
    plain = fit_logistic(vectors, labels, 3, 1.0).probabilities(vectors)
    np.testing.assert_allclose(fit_logistic(moved, labels, 3, 1.0).probabilities(moved), plain, atol=1e-4)


def test_constant_dimensions_are_ignored() -> None:
    labels = np.arange(40) % 2
    vectors = clusters(labels)
    padded = np.column_stack([vectors, np.full(40, 0.1), np.zeros(40)])
    other = np.column_stack([vectors, np.full(40, 0.3), np.ones(40)])
    fit = fit_logistic(padded, labels, 2, 1.0)
    np.testing.assert_array_equal(fit.probabilities(padded), fit.probabilities(other))


def test_a_single_example_per_class_is_enough() -> None:
    vectors = np.array([[0.0, 1.0], [1.0, 0.0]], dtype=np.float32)
    assert fit_logistic(vectors, np.array([0, 1]), 2, 10.0).probabilities(vectors).argmax(1).tolist() == [0, 1]


def test_converges_and_repeats_exactly() -> None:
    labels = np.arange(90) % 3
    vectors = clusters(labels, spread=1.0)
    first, again = (fit_logistic(vectors, labels, 3, 100.0) for _ in range(2))
    assert first.converged
    np.testing.assert_array_equal(first.weights, again.weights)


def test_one_example_of_each_of_many_classes_is_no_reason_to_warn() -> None:
    vectors = np.eye(30, dtype=np.float32)
    fit = fit_logistic(vectors, np.arange(30), 30, 10.0)
    assert (fit.probabilities(vectors).argmax(axis=1) == np.arange(30)).all()
