"""Classifiers made of prompts, against the formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chiasm.ops.zero_shot import SigmoidOfCosines, SoftmaxOfCosines, class_vectors


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / math.sqrt(sum(number * number for number in vector.tolist()))


def test_prompts_are_normalised_averaged_and_normalised_again() -> None:
    prompts = np.random.default_rng(0).normal(size=(3, 5, 4)) * np.array([1, 9, 0.1, 3, 5])[None, :, None]
    for row, several in zip(class_vectors(prompts), prompts, strict=True):
        np.testing.assert_allclose(row, unit(np.sum([unit(one) for one in several], axis=0) / 5), rtol=1e-12)


def test_softmax_and_sigmoid_of_scaled_cosines() -> None:
    generator = np.random.default_rng(1)
    vectors = np.stack([unit(row) for row in generator.normal(size=(6, 4))]).astype(np.float32)
    classes = np.stack([unit(row) for row in generator.normal(size=(3, 4))]).astype(np.float32)
    shares = SoftmaxOfCosines(classes, 100.0).probabilities(vectors)
    singles = SigmoidOfCosines(classes, 100.0, -12.5).probabilities(vectors)
    for i, vector in enumerate(vectors.astype(float)):
        logits = [100 * sum(vector * one) for one in classes.astype(float)]
        total = sum(math.exp(logit) for logit in logits)
        for k, logit in enumerate(logits):
            assert shares[i, k] == pytest.approx(math.exp(logit) / total, rel=1e-9)
            assert singles[i, k] == pytest.approx(1 / (1 + math.exp(12.5 - logit)), rel=1e-9)


def test_extreme_scales_overflow_nothing() -> None:
    classes, vectors = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(SoftmaxOfCosines(classes, 1e5).probabilities(vectors), np.eye(2))
    np.testing.assert_allclose(SigmoidOfCosines(classes, 1e5, -5e4).probabilities(vectors), np.eye(2))
