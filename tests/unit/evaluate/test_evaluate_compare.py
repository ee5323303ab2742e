"""The paired comparison of two models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Splits
from chiasm.core.predictors import Embeddings, Encoder
from chiasm.evaluate.compare import By, Contest, compare
from chiasm.evaluate.knn import knn


def contests(model: Encoder, baseline: Encoder, data: Splits, **options: Any) -> dict[By, Contest]:
    return {one.by: one for one in compare(model, baseline, data=[data], **options).results}


def test_a_model_against_itself_differs_by_nothing(mean_colour, splits) -> None:
    model = mean_colour("noisy", 0.7)
    for contest in contests(model, model, splits, k=5).values():
        assert (contest.difference.low, contest.difference.value, contest.difference.high) == (0, 0, 0)
        assert contest.accuracy == contest.baseline_accuracy
        assert (contest.p_value, contest.better) == (1, None)
        assert contest.figures()["better"] == "no telling"


def test_a_better_model_is_seen_to_be_better_and_where(mean_colour, coloured) -> None:
    data = Splits(coloured("train", 12, 0), coloured("test", 30, 1))
    clear, noisy = mean_colour(), mean_colour("noisy", 1.0)
    found = contests(clear, noisy, data, k=5)
    assert set(found) == {"knn", "linear"}
    for contest in found.values():
        assert contest.difference.low > 0
        assert contest.p_value < 0.001
        assert contest.better == "colour"
    assert found["knn"].accuracy == knn([clear], data=[data], k=5).results[0].scores.accuracy
    reverse = contests(noisy, clear, data, k=5, by=("knn",))["knn"]
    assert reverse.difference.value == pytest.approx(-found["knn"].difference.value)
    assert reverse.better == "colour"
    by_class = found["knn"].per_class
    assert set(by_class) == {"r", "g", "b"}
    weighted = sum(one.support * one.difference for one in by_class.values()) / 90
    assert weighted == pytest.approx(found["knn"].difference.value)
    spread = [abs(one.difference) for one in by_class.values()]
    assert spread == sorted(spread, reverse=True)


def test_what_may_be_noise_is_not_called_better(mean_colour, splits) -> None:
    one, other = mean_colour("noisy", 0.5), mean_colour("noisier", 0.6)
    contest = contests(one, other, splits, k=5, by=("knn",))["knn"]
    assert contest.num_only_model + contest.num_only_baseline > 0
    assert contest.p_value > 0.05
    assert contest.better is None


def test_words_are_compared_too(reading, coloured) -> None:
    data = Splits(coloured("train", 4, 0), coloured("test", 30, 1))
    contest = contests(reading(), reading("noisy", 1.5), data, by=("zeroshot",))["zeroshot"]
    assert contest.better == "colour"


def test_a_way_that_does_not_fit_leaves_a_gap(mean_colour, splits) -> None:
    found = compare(mean_colour(), mean_colour(), data=[splits], by=("knn", "zeroshot"), k=5)
    assert [one.by for one in found.results] == ["knn"]
    assert [one.data for one in found.missing] == ["test by zeroshot"]
    assert "sees pictures only" in found.missing[0].reason


def test_only_pictures_that_both_could_read_count(mean_colour, splits) -> None:
    class Choosy(mean_colour):
        def embed(self, source):
            whole = super().embed(source)
            kept = slice(5, None)
            rows = (whole.vectors[kept], whole.norms[kept], whole.keys[kept], whole.labels[kept])
            return Embeddings(*rows, whole.classes)

    contest = contests(mean_colour(), Choosy(), splits, k=5)["knn"]
    assert contest.num_test == 19
    assert contest.difference.value == 0


def test_pictures_that_could_not_be_read_are_told(reading, pictures, splits) -> None:
    def torn(source: Source, place: int) -> Source:
        read = [None if index == place else source.read(index).picture for index in range(len(source))]
        return pictures(source.name, read, [source.label(index) for index in range(len(source))], source.classes)

    class Blind(reading):
        def embed(self, source):
            found = super().embed(source)
            return replace(found, skipped=(*found.skipped, ("seen", "by the other")))

    data = Splits(torn(splits.train, 3), torn(splits.test, 5))
    found = contests(reading(), Blind(), data, k=5, by=("knn", "linear", "zeroshot"))
    assert found["knn"].skipped == {"0003": "torn", "0005": "torn", "seen": "by the other"}
    assert found["linear"].skipped == found["knn"].skipped
    assert found["zeroshot"].skipped == {"0005": "torn", "seen": "by the other"}


def test_bad_input(mean_colour, splits) -> None:
    model = mean_colour()
    with pytest.raises(InputError, match="at least one neighbour"):
        compare(model, model, data=[splits], k=0)
    with pytest.raises(InputError, match="held-out share"):
        compare(model, model, data=[splits], held_out=2)
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        compare(model, model, data=[splits], bootstrap=0)
    with pytest.raises(InputError, match="a test split apart"):
        compare(model, model, data=[Splits(splits.train, splits.train)], by=("linear",))
