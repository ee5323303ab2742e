"""The linear probe: the figures, the choice of the penalty, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.evaluate._vectors import Labelled, SplitVectors
from chiasm.evaluate.linear import LinearResult, fit_probe, linear


def judged(model: Encoder, data: Splits, **options: Any) -> LinearResult:
    (result,) = linear([model], data=[data], **options).results
    return result


def vectors_of(train: np.ndarray, labels: np.ndarray, num_classes: int) -> SplitVectors:
    rows = Labelled(train, labels, tuple(map(str, range(len(labels)))))
    return SplitVectors(rows, rows, tuple("abcdef"[:num_classes]), False, {})


def test_clear_classes_are_told_apart(mean_colour, splits) -> None:
    result = judged(mean_colour(), splits)
    assert result.scores.accuracy.value > 0.95
    assert result.converged
    assert (result.num_train, result.num_held_out, result.scores.num_test) == (36, 6, 24)


def test_sees_what_neighbours_cannot(mean_colour, pictures) -> None:
    # The class is a faint shift of one channel under strong noise in the others.
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    colours = np.column_stack([generator.uniform(0, 255, (400, 2)), 120 + 8 * labels + generator.normal(0, 1, 400)])
    made = [np.zeros((2, 2, 3), np.uint8) + colour.astype(np.uint8) for colour in colours]
    train = pictures("train", made[:200], labels[:200].tolist(), ("a", "b"))
    test = pictures("test", made[200:], labels[200:].tolist(), ("a", "b"))
    assert judged(mean_colour(), Splits(train, test)).scores.accuracy.value > 0.97


def test_noise_gets_a_strict_penalty_and_signal_a_loose_one() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    noise = fit_probe(vectors_of(generator.normal(size=(120, 40)), labels, 3), 0.2, 0)
    signal = fit_probe(vectors_of(np.eye(3)[labels] + 0.05 * generator.normal(size=(120, 3)), labels, 3), 0.2, 0)
    assert noise.inverse_penalty <= 0.1
    assert signal.inverse_penalty >= 1000


def test_a_class_with_one_picture_stays_in_training() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [2])
    probe = fit_probe(vectors_of(np.eye(3)[labels], labels, 3), 0.5, 0)
    assert probe.num_held_out == 10
    assert np.isfinite(probe.fit.bias).all()


def test_one_picture_per_class_takes_the_default() -> None:
    probe = fit_probe(vectors_of(np.eye(3), np.arange(3), 3), 0.2, 0)
    assert (probe.num_held_out, probe.inverse_penalty) == (0, 10.0)


def test_a_class_that_training_names_but_lacks(mean_colour, splits, pictures) -> None:
    red, blue = np.full((2, 2, 3), (200, 60, 60), np.uint8), np.full((2, 2, 3), (60, 60, 200), np.uint8)
    train = pictures("train", [red] * 5 + [blue] * 5, [0] * 5 + [2] * 5, ("r", "g", "b"))
    scores = judged(mean_colour(), Splits(train, splits.test)).scores
    # A probe that answered with column numbers instead of classes would call blue green.
    assert scores.per_class["g"].recall == 0
    assert scores.per_class["b"].recall > 0.9


def test_same_seed_same_result(mean_colour, splits) -> None:
    model = mean_colour("noisy", 1.0)
    assert judged(model, splits, seed=1) == judged(model, splits, seed=1)


@pytest.mark.parametrize("held_out", [0.0, 1.0, float("nan")])
def test_held_out_share_out_of_range(mean_colour, splits, held_out: float) -> None:
    with pytest.raises(InputError, match="a held-out share between 0 and 1"):
        judged(mean_colour(), splits, held_out=held_out)


def test_bootstrap_out_of_range(mean_colour, splits) -> None:
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        judged(mean_colour(), splits, bootstrap=0)


def test_testing_on_the_training_pictures_is_refused(mean_colour, splits) -> None:
    with pytest.raises(InputError, match="a test split apart"):
        judged(mean_colour(), Splits(splits.train, splits.train))
