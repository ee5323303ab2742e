"""Tip-Adapter against the formulas of the paper, written as loops over numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chiasm.adapt import tip_adapter, tip_adapter_f
from chiasm.core.predictors import NamedClasses
from chiasm.core.seeds import stream
from chiasm.ops.vectors import unit_rows

NUM_CLASSES, WIDTH = 3, 6


class Words:
    """The side of a model that reads; only its scale is asked for."""

    fingerprint: str = "words"
    logit_bias: float | None = None

    def __init__(self, logit_scale: float) -> None:
        self.logit_scale = logit_scale

    def embed(self, texts) -> np.ndarray:
        raise NotImplementedError("vectors of names come with them")


def drawn(num_each: int, spread: float = 0.6) -> tuple[np.ndarray, np.ndarray, NamedClasses]:
    """Examples around class means, and names that are not quite there."""
    draw = stream(3, "tip adapter", num_each)
    means = draw.normal(size=(NUM_CLASSES, WIDTH))
    labels = np.repeat(np.arange(NUM_CLASSES), num_each)
    draw.shuffle(labels)
    vectors = unit_rows(means[labels] + spread * draw.normal(size=(len(labels), WIDTH)))[0]
    names = unit_rows(means + draw.normal(size=means.shape))[0]
    return vectors, labels, NamedClasses(("a", "b", "c"), names, Words(12.0))


def slow_logits(asked, vectors, labels, named: NamedClasses, alpha: float, beta: float) -> list[list[float]]:
    """Section 3.1: f W^T (scaled) + alpha * exp(-beta * (1 - f F^T)) L, one number at a time."""
    found = []
    for one in asked:
        row = []
        for label in range(NUM_CLASSES):
            logit = named.text.logit_scale * sum(a * b for a, b in zip(one, named.vectors[label], strict=True))
            for key, own in zip(vectors, labels, strict=True):
                if own == label:
                    cosine = sum(a * b for a, b in zip(one, key, strict=True))
                    logit += alpha * math.exp(-beta * (1 - cosine))
            row.append(logit)
        found.append(row)
    return found


def log_softmax(row) -> np.ndarray:
    return np.array(row) - math.log(sum(math.exp(value) for value in row))


def test_logits_are_those_of_the_formula() -> None:
    vectors, labels, named = drawn(2)
    asked = unit_rows(stream(0, "asked").normal(size=(7, WIDTH)))[0]
    classifier = tip_adapter.Config(alpha=1.7, beta=4.2).build().fit_named(vectors, labels, named)
    slow = slow_logits(asked, vectors, labels, named, 1.7, 4.2)
    np.testing.assert_allclose(classifier.logits(asked), slow, rtol=1e-10)
    np.testing.assert_allclose(np.log(classifier.probabilities(asked)), [log_softmax(row) for row in slow], rtol=1e-9)
    # Vectors of another length are read by their direction.
    np.testing.assert_allclose(classifier.logits(3 * asked), slow, rtol=1e-10)


def test_alpha_and_beta_are_those_that_judge_left_out_examples_best() -> None:
    vectors, labels, named = drawn(6)
    config = tip_adapter.Config(alphas=(0.0, 1.0, 4.0), betas=(1.0, 5.5))
    losses = {}
    for alpha in config.alphas:
        for beta in config.betas:
            total = 0.0
            for left_out in range(len(labels)):
                rest = np.arange(len(labels)) != left_out
                (row,) = slow_logits(vectors[[left_out]], vectors[rest], labels[rest], named, alpha, beta)
                total -= log_softmax(row)[labels[left_out]]
            losses[alpha, beta] = total
    classifier = config.build().fit_named(vectors, labels, named)
    assert (classifier.alpha, classifier.beta) == min(losses, key=lambda pair: losses[pair])
    assert classifier.alpha > 0


def test_too_few_examples_take_what_is_given() -> None:
    vectors, labels, named = drawn(3)
    classifier = tip_adapter.Config().build().fit_named(vectors, labels, named)
    assert (classifier.alpha, classifier.beta) == (1.0, 5.5)


@pytest.mark.parametrize("label", range(NUM_CLASSES))
def test_gradients_are_those_of_the_log_odds(label: int) -> None:
    vectors, labels, named = drawn(4)
    classifier = tip_adapter.Config(alpha=2.0, beta=3.0, min_shots=9).build().fit_named(vectors, labels, named)
    asked = unit_rows(stream(1, "asked").normal(size=(4, WIDTH)))[0]

    def log_odds(vector: np.ndarray) -> float:
        logits = np.array(
            [
                12.0 * vector @ named.vectors[k]
                + 2.0 * sum(math.exp(-3.0 * (1 - vector @ key)) for key in vectors[labels == k])
                for k in range(NUM_CLASSES)
            ]
        )
        return float(logits[label] - np.log(np.exp(np.delete(logits, label)).sum()))

    found = classifier.gradients(asked, np.full(4, label))
    step = 1e-6
    for row, vector in enumerate(asked):
        slow = [
            (log_odds(vector + step * axis) - log_odds(vector - step * axis)) / (2 * step) for axis in np.eye(WIDTH)
        ]
        np.testing.assert_allclose(found[row], slow, rtol=1e-5, atol=1e-5)


def test_the_first_step_of_training_is_that_of_adamw_on_the_cross_entropy() -> None:
    """All examples at once: Adam's first step is the gradient over its own size, beside the decay."""
    vectors, labels, named = drawn(2)
    settings = tip_adapter_f.Config(epochs=1, lr=0.01, weight_decay=0.1)
    before, scale, beta = vectors, named.text.logit_scale, settings.beta
    gradient = np.zeros_like(before)
    for row, label in enumerate(labels):
        (logits,) = slow_logits(vectors[[row]], before, labels, named, settings.alpha, beta)
        shares = np.exp(log_softmax(logits))
        for key, own in enumerate(labels):
            near = math.exp(-beta * (1 - vectors[row] @ before[key]))
            blame = shares[own] - (own == label)
            gradient[key] += settings.alpha * beta * near * blame * vectors[row] / len(labels)
    expected = before * (1 - settings.lr * settings.weight_decay)
    expected = expected - settings.lr * gradient / (np.abs(gradient) + settings.eps)
    classifier = settings.build().fit_named(vectors, labels, named)
    assert classifier.scale == scale
    np.testing.assert_allclose(classifier.keys, expected, atol=2e-5)
    assert np.abs(classifier.keys - before).max() > 5e-3


def test_training_the_keys_fits_the_examples_better_and_repeats_itself() -> None:
    vectors, labels, named = drawn(5, spread=1.2)
    plain = tip_adapter.Config(min_shots=9).build().fit_named(vectors, labels, named)
    trained = tip_adapter_f.Config(epochs=60, lr=0.01).build().fit_named(vectors, labels, named)
    rows = np.arange(len(labels))
    losses = [-np.log(one.probabilities(vectors)[rows, labels]).mean() for one in (plain, trained)]
    assert losses[1] < 0.8 * losses[0]
    again = tip_adapter_f.Config(epochs=60, lr=0.01).build().fit_named(vectors, labels, named)
    np.testing.assert_array_equal(again.keys, trained.keys)


def test_a_class_without_examples_is_known_by_its_name() -> None:
    vectors, labels, named = drawn(4)
    some = labels != 2
    for config in (tip_adapter.Config(), tip_adapter_f.Config(epochs=2)):
        classifier = config.build().fit_named(vectors[some], labels[some], named)
        by_name = named.text.logit_scale * named.vectors @ named.vectors[2]
        np.testing.assert_allclose(classifier.logits(named.vectors)[:, 2], by_name)
