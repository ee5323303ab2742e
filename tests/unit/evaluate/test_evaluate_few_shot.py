"""Few-shot curves: more shots, better answers; draws, short classes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.adapt.logistic import Config
from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.evaluate.few_shot import few_shot

LEARNER = Config().build()


def test_more_shots_are_better(mean_colour, coloured) -> None:
    data = Splits(coloured("train", 40, 0, spread=60), coloured("test", 40, 1, spread=60))
    found = few_shot([mean_colour("noisy", 0.4)], data=[data], learner=LEARNER, shots=(20, 1, 1), draws=6).results
    assert [one.shots for one in found] == [1, 20]
    one, twenty = found
    assert twenty.accuracy.value > one.accuracy.value + 0.1
    assert len(one.accuracies) == 6
    assert len(set(one.accuracies)) > 1
    assert one.accuracy.value == pytest.approx(np.mean(one.accuracies))
    assert one.accuracy.low < one.accuracy.value < one.accuracy.high


def test_same_seed_same_draws(mean_colour, splits) -> None:
    def found(seed: int) -> tuple[float, ...]:
        model = mean_colour("noisy", 0.7)
        return few_shot([model], data=[splits], learner=LEARNER, shots=(1,), draws=4, seed=seed).results[0].accuracies

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_a_class_that_is_short_or_missing(mean_colour, splits, pictures) -> None:
    red, blue = np.full((2, 2, 3), (200, 60, 60), np.uint8), np.full((2, 2, 3), (60, 60, 200), np.uint8)
    train = pictures("train", [red] * 5 + [blue], [0] * 5 + [2], ("r", "g", "b"))
    (result,) = few_shot([mean_colour()], data=[Splits(train, splits.test)], learner=LEARNER, shots=(3,)).results
    assert result.num_short == 2
    # Blue is answered as blue and not as the second class of two.
    assert result.balanced_accuracy.value == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": (0, 5)}, "at least one shot"),
        ({"shots": ()}, "at least one shot"),
        ({"draws": 1}, "at least two draws"),
    ],
)
def test_options_out_of_range(mean_colour, splits, options, message) -> None:
    with pytest.raises(InputError, match=message):
        few_shot([mean_colour()], data=[splits], learner=LEARNER, **options)


def test_testing_on_the_training_pictures_is_refused(mean_colour, splits) -> None:
    with pytest.raises(InputError, match="a test split apart"):
        few_shot([mean_colour()], data=[Splits(splits.train, splits.train)], learner=LEARNER)
