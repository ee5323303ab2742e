"""k-NN evaluation: the figures, the traps, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.evaluate.knn import KnnResult, knn
from chiasm.evaluate.linear import linear


def judged(model: Encoder, data: Splits, **options: Any) -> KnnResult:
    (result,) = knn([model], data=[data], **options).results
    return result


def test_clear_classes_are_told_apart(mean_colour, splits) -> None:
    result = judged(mean_colour(), splits, k=5)
    assert result.scores.accuracy.value > 0.95
    assert set(result.scores.per_class) == {"r", "g", "b"}
    assert (result.k, result.num_train, result.scores.num_test) == (5, 36, 24)
    assert not result.is_leave_one_out
    assert json.loads(result.model_dump_json())["scores"]["accuracy"]["high"] == result.scores.accuracy.high


def test_noise_in_the_vectors_lowers_the_score_and_widens_the_interval(mean_colour, splits) -> None:
    clear, blurred = judged(mean_colour(), splits, k=5), judged(mean_colour("noisy", 1.0), splits, k=5)
    assert blurred.scores.accuracy.value < clear.scores.accuracy.value - 0.1
    width = blurred.scores.accuracy.high - blurred.scores.accuracy.low
    assert 0.1 < width < 0.5


def test_classes_are_matched_by_name(mean_colour, coloured) -> None:
    # "b" is class 2 of the training pictures and class 0 of the test.
    data = Splits(coloured("train", 12, 0), coloured("test", 8, 1, classes=("b",)))
    result = judged(mean_colour(), data, k=5)
    assert {name: one.recall for name, one in result.scores.per_class.items()} == {"b": 1.0}


def test_imbalance_shows_in_the_balanced_accuracy(mean_colour, pictures) -> None:
    train = pictures("train", [np.full((4, 4, 3), 250, np.uint8)] * 10, [0] * 10, ("many", "few"))
    test = pictures("test", [np.full((4, 4, 3), 249, np.uint8)] * 10, [0] * 9 + [1], ("many", "few"))
    scores = judged(mean_colour(), Splits(train, test)).scores
    assert scores.accuracy.value == pytest.approx(0.9)
    assert scores.balanced_accuracy.value == pytest.approx(0.5)
    assert {name: (one.recall, one.support) for name, one in scores.per_class.items()} == {
        "many": (1, 9),
        "few": (0, 1),
    }


def noise(count: int) -> tuple[list[np.ndarray], list[int]]:
    """Pictures and labels that have nothing to do with each other: who finds a picture again is right, others guess."""
    generator = np.random.default_rng(0)
    made = [generator.integers(0, 256, (4, 4, 3), dtype=np.uint8) for _ in range(count)]
    return made, generator.integers(0, 2, count).tolist()


@pytest.mark.parametrize("judge", [knn, linear])
def test_a_test_picture_that_is_also_a_training_picture_is_left_out_under_whatever_name(
    judge, mean_colour, pictures
) -> None:
    made, labels = noise(120)
    train = pictures("train", made[:100], labels[:100], ("a", "b"))
    test = pictures("test", made[80:], labels[80:], ("a", "b"))
    found = judge([mean_colour()], data=[Splits(train, test)])
    (result,) = found.results
    assert result.scores.num_test == 20
    assert result.skipped == {f"{place:04}": "it is also a training picture" for place in range(20)}
    table = found.table()
    assert dict(zip(table.columns, table.rows[0], strict=True))["left out"] == 20


@pytest.mark.parametrize("judge", [knn, linear])
def test_a_folder_under_two_names_is_refused(judge, mean_colour, pictures) -> None:
    made, labels = noise(20)
    splits = Splits(pictures("all", made, labels, ("a", "b")), pictures("./all", made, labels, ("a", "b")))
    with pytest.raises(InputError, match="all of them are in both"):
        judge([mean_colour()], data=[splits])


def test_copies_do_not_vote_for_each_other_where_each_picture_is_judged_by_the_others(mean_colour, pictures) -> None:
    made, labels = noise(100)
    alone = pictures("all", made, labels, ("a", "b"))
    twice = pictures("all", made + made, labels + labels, ("a", "b"))
    once, copied = (judged(mean_colour(), Splits(source, source), k=1) for source in (alone, twice))
    assert copied.scores == once.scores
    assert (copied.num_train, len(copied.skipped)) == (100, 100)
    assert set(copied.skipped.values()) == {"it is a copy of another picture"}
    assert once.skipped == {}


def test_nothing_left_out_takes_no_column(mean_colour, splits) -> None:
    assert "left out" not in knn([mean_colour()], data=[splits]).table().columns


def test_one_source_for_both_is_judged_by_the_others(mean_colour, pictures) -> None:
    made, labels = noise(200)
    source = pictures("same", made, labels, ("a", "b"))
    result = judged(mean_colour(), Splits(source, source), k=1)
    assert result.is_leave_one_out
    # Labels are random, so finding oneself would give 1.
    assert 0.35 < result.scores.accuracy.value < 0.65


def test_k_larger_than_the_gallery_is_reported_as_it_was_used(mean_colour, splits) -> None:
    assert judged(mean_colour(), splits, k=500).k == 36
    assert judged(mean_colour(), Splits(splits.train, splits.train), k=500).k == 35


def test_broken_and_unlabelled_pictures_are_left_out(mean_colour, splits, pictures) -> None:
    red = np.array([[[200, 60, 60]]], np.uint8)
    test = pictures("test", [red, None, red, red], [0, 0, None, 1], ("r", "g"))
    result = judged(mean_colour(), Splits(splits.train, test), k=5)
    assert (result.scores.num_test, result.skipped) == (2, {"0001": "torn"})
    assert result.scores.accuracy.value == 0.5


def test_same_seed_same_result(mean_colour, splits) -> None:
    model = mean_colour("noisy", 1.0)
    assert judged(model, splits, seed=3) == judged(model, splits, seed=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "at least one neighbour, but k = 0 came"),
        ({"temperature": 0.0}, "a temperature above 0"),
        ({"bootstrap": 0}, "at least one bootstrap draw"),
    ],
)
def test_options_out_of_range(mean_colour, splits, options, message) -> None:
    with pytest.raises(InputError, match=message):
        judged(mean_colour(), splits, **options)


def test_splits_that_do_not_fit(mean_colour, splits, coloured, pictures) -> None:
    grey = np.full((4, 4, 3), 9, np.uint8)
    plain = pictures("plain", [grey], [None], ())
    with pytest.raises(InputError, match="plain has none; use one folder per class"):
        judged(mean_colour(), Splits(splits.train, plain))
    with pytest.raises(InputError, match="it also has 'yak'"):
        judged(mean_colour(), Splits(splits.train, pictures("test", [grey], [0], ("yak",))))
    with pytest.raises(InputError, match="at least two classes"):
        judged(mean_colour(), Splits(coloured("train", 3, 0, classes=("r",)), splits.test))
    with pytest.raises(InputError, match="none has a class"):
        judged(mean_colour(), Splits(splits.train, pictures("test", [grey], [None], ("r",))))
    lonely = pictures("lonely", [grey], [0], ("r", "g"))
    with pytest.raises(InputError, match="at least two pictures"):
        judged(mean_colour(), Splits(lonely, lonely))
