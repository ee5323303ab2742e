"""The logistic-regression learner: when and how it tunes its penalty."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.adapt.logistic import Config
from chiasm.core.predictors import Classifier, Learner


def blobs(num_each: int, spread: float, num_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(num_classes), num_each)
    centres = np.random.default_rng(99).normal(size=(num_classes, 8))
    noise = np.random.default_rng(seed).normal(size=(len(labels), 8))
    return (centres[labels] + spread * noise).astype(np.float32), labels


def test_speaks_the_contracts() -> None:
    learner = Config().build()
    vectors, labels = blobs(2, 0.1)
    assert isinstance(learner, Learner)
    assert isinstance(learner.fit(vectors, labels, 3), Classifier)


def test_learns_what_is_there_to_learn() -> None:
    vectors, labels = blobs(8, 0.4)
    test_vectors, test_labels = blobs(50, 0.4, seed=1)
    answers = Config().build().fit(vectors, labels, 3).probabilities(test_vectors).argmax(axis=1)
    assert (answers == test_labels).mean() > 0.95


def test_too_few_shots_take_the_default() -> None:
    vectors, labels = blobs(3, 0.4)
    assert Config(default_inverse_penalty=7.0).build().inverse_penalty(vectors, labels, 3) == 7.0


def test_clean_shots_are_fitted_closely_and_noise_is_not() -> None:
    learner = Config().build()
    clean = learner.inverse_penalty(*blobs(10, 0.05), 3)
    generator = np.random.default_rng(0)
    noise = learner.inverse_penalty(generator.normal(size=(30, 8)), np.arange(30) % 3, 3)
    assert clean > 10 > noise


def test_one_rare_class_keeps_its_column() -> None:
    vectors, labels = blobs(8, 0.2)
    keep = (labels != 1) | (np.arange(len(labels)) == 9)
    answers = Config().build().fit(vectors[keep], labels[keep], 3).probabilities(vectors)
    assert (answers.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("num_classes", [1, 2])
def test_few_classes(num_classes: int) -> None:
    vectors, labels = blobs(6, 0.1, num_classes)
    probabilities = Config().build().fit(vectors, labels, num_classes).probabilities(vectors)
    assert probabilities.shape == (6 * num_classes, num_classes)
    assert (probabilities.argmax(axis=1) == labels).all()


def test_same_seed_same_numbers() -> None:
    vectors, labels = blobs(6, 1.0)
    first, again = (Config(seed=3).build().fit(vectors, labels, 3).probabilities(vectors) for _ in range(2))
    np.testing.assert_array_equal(first, again)
