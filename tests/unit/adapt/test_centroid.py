"""The nearest-centroid learner."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.adapt.centroid import Config
from chiasm.core.errors import InputError
from chiasm.core.predictors import Classifier, Learner


def test_speaks_the_contracts() -> None:
    learner = Config().build()
    assert isinstance(learner, Learner)
    assert isinstance(learner.fit(np.eye(2), np.array([0, 1]), 2), Classifier)


def test_probabilities_are_the_softmax_of_cosines() -> None:
    classifier = Config(temperature=0.5).build().fit(np.array([[2.0, 0.0], [0.0, 9.0]]), np.array([0, 1]), 2)
    cosines = np.array([0.6, 0.8])
    expected = np.exp(cosines / 0.5) / np.exp(cosines / 0.5).sum()
    np.testing.assert_allclose(classifier.probabilities(np.array([[3.0, 4.0]])), [expected])


def test_each_example_weighs_the_same_however_long_its_vector() -> None:
    vectors = np.array([[100.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    classifier = Config().build().fit(vectors, np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(classifier.centroids[0], [np.sqrt(0.5), np.sqrt(0.5)])


def test_columns_follow_class_numbers_not_the_order_of_examples() -> None:
    vectors = np.eye(3, dtype=np.float32)
    classifier = Config().build().fit(vectors[[2, 0, 1]], np.array([2, 0, 1]), 3)
    assert classifier.probabilities(vectors).argmax(1).tolist() == [0, 1, 2]


def test_a_zero_vector_and_a_tiny_temperature_stay_finite() -> None:
    classifier = Config(temperature=1e-6).build().fit(np.eye(2), np.array([0, 1]), 2)
    probabilities = classifier.probabilities(np.array([[0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(probabilities, [[0.5, 0.5], [1.0, 0.0]])


def test_a_class_without_examples_is_refused() -> None:
    with pytest.raises(ValueError, match="class 1 has none"):
        Config().build().fit(np.eye(2), np.array([0, 2]), 3)


def test_wrong_settings_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match="temperature"):
        Config.parse({"temperature": 0}, "the learner")
