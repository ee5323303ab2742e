"""The paired comparison of two models."""

from __future__ import annotations

import pytest

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Embeddings
from chiasm.evaluate.compare import compare
from chiasm.evaluate.knn import knn


def test_a_model_against_itself_differs_by_nothing(mean_colour, splits) -> None:
    model = mean_colour("noisy", 0.7)
    result = compare(model, model, splits, k=5)
    for contest in (result.knn, result.linear):
        assert (contest.difference.low, contest.difference.value, contest.difference.high) == (0, 0, 0)
        assert contest.model == contest.baseline


def test_a_better_model_is_seen_to_be_better(mean_colour, coloured) -> None:
    data = Splits(coloured("train", 12, 0), coloured("test", 30, 1))
    result = compare(mean_colour(), mean_colour("noisy", 1.0), data, k=5)
    assert result.knn.difference.low > 0
    assert result.linear.difference.low > 0
    assert result.knn.model == knn(mean_colour(), data, k=5).scores.accuracy
    reverse = compare(mean_colour("noisy", 1.0), mean_colour(), data, k=5)
    assert reverse.knn.difference.value == pytest.approx(-result.knn.difference.value)


def test_only_pictures_that_both_could_read_count(mean_colour, splits) -> None:
    class Choosy(mean_colour):
        def embed(self, source):
            whole = super().embed(source)
            kept = slice(5, None)
            rows = (whole.vectors[kept], whole.norms[kept], whole.keys[kept], whole.labels[kept])
            return Embeddings(*rows, whole.classes)

    result = compare(mean_colour(), Choosy(), splits, k=5)
    assert result.num_test == 19
    assert result.knn.difference.value == 0


def test_bad_input(mean_colour, splits) -> None:
    model = mean_colour()
    with pytest.raises(InputError, match="at least one neighbour"):
        compare(model, model, splits, k=0)
    with pytest.raises(InputError, match="held-out share"):
        compare(model, model, splits, held_out=2)
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        compare(model, model, splits, bootstrap=0)
    with pytest.raises(InputError, match="a test split apart"):
        compare(model, model, Splits(splits.train, splits.train))
