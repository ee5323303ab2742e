"""Gradients of log-odds against differentiation of the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.adapt.centroid import CentroidLearner
from chiasm.core.predictors import Classifier
from chiasm.ops.log_odds import log_odds_gradients, through_unit_length
from chiasm.ops.logistic import fit_logistic
from chiasm.ops.vectors import unit_rows
from chiasm.ops.zero_shot import SigmoidOfCosines, SoftmaxOfCosines


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(4, 6)), generator.normal(size=4), generator.normal(size=(5, 6)), np.arange(5) % 4


def test_gradients_are_those_of_the_log_odds(problem):
    weights, bias, vectors, classes = problem
    inputs = torch.from_numpy(vectors).requires_grad_()
    shares = (inputs @ torch.from_numpy(weights).T + torch.from_numpy(bias)).softmax(dim=1)
    chosen = shares[torch.arange(5), torch.from_numpy(classes)]
    (expected,) = torch.autograd.grad((chosen / (1 - chosen)).log().sum(), inputs)
    found = log_odds_gradients(weights, vectors @ weights.T + bias, classes)
    assert np.allclose(found, expected.numpy())


def test_what_all_classes_share_cancels(problem):
    weights, bias, vectors, classes = problem
    logits = vectors @ weights.T + bias
    found = log_odds_gradients(weights, logits, classes)
    assert np.allclose(log_odds_gradients(weights + np.ones(6), logits, classes), found)


def test_a_class_without_rivals_is_its_own_logit(problem):
    weights, _, vectors, _ = problem
    nothing = np.zeros(5, int)
    assert np.allclose(log_odds_gradients(weights[:1], vectors @ weights[:1].T, nothing), weights[0])
    logits = vectors @ weights.T
    logits[:, 1:] = -np.inf
    assert np.allclose(log_odds_gradients(weights, logits, nothing), weights[0])


def test_certainty_does_not_end_the_gradient(problem):
    weights, _, vectors, classes = problem
    found = log_odds_gradients(weights, 1e4 * (vectors @ weights.T), classes)
    assert np.isfinite(found).all()
    assert (np.abs(found).sum(axis=1) > 0.1).all()


def test_unit_length_is_differentiated_too(problem):
    _, _, vectors, _ = problem
    slopes = np.random.default_rng(1).normal(size=vectors.shape)
    inputs = torch.from_numpy(vectors).requires_grad_()
    score = (inputs / inputs.norm(dim=1, keepdim=True) * torch.from_numpy(slopes)).sum()
    (expected,) = torch.autograd.grad(score, inputs)
    assert np.allclose(through_unit_length(slopes, *unit_rows(vectors)), expected.numpy())


def classifiers() -> dict[str, Classifier]:
    generator = np.random.default_rng(3)
    vectors, _ = unit_rows(generator.normal(size=(60, 6)) + np.eye(6)[np.arange(60) % 3])
    labels = np.arange(60) % 3
    names, _ = unit_rows(generator.normal(size=(3, 6)))
    return {
        "logistic": fit_logistic(vectors, labels, 3, 10.0),
        "centroid": CentroidLearner(0.07).fit(vectors, labels, 3),
        "names": SoftmaxOfCosines(names, 20.0),
    }


@pytest.mark.parametrize("name", ["logistic", "centroid", "names"])
def test_classifiers_tell_how_their_log_odds_change(name, problem):
    classifier, (_, _, vectors, classes) = classifiers()[name], problem
    units, _ = unit_rows(vectors)
    classes = classes % 3

    def log_odds(vectors):
        shares = classifier.probabilities(vectors)[np.arange(5), classes]
        return np.log(shares / (1 - shares))

    found = classifier.gradients(units, classes)
    for axis in range(6):
        # Along the sphere, since some classifiers read the direction of a vector only.
        step = np.eye(6)[axis] - units[:, axis : axis + 1] * units
        slope = (log_odds(unit_rows(units + 1e-6 * step)[0]) - log_odds(unit_rows(units - 1e-6 * step)[0])) / 2e-6
        assert np.allclose((found * step).sum(axis=1), slope, rtol=1e-4, atol=1e-5)


def test_names_that_are_judged_one_by_one_are_compared_as_well():
    names, _ = unit_rows(np.random.default_rng(0).normal(size=(3, 6)))
    one_by_one, together = SigmoidOfCosines(names, 20.0, -10.0), SoftmaxOfCosines(names, 20.0)
    assert np.array_equal(one_by_one.gradients(names, np.arange(3)), together.gradients(names, np.arange(3)))
