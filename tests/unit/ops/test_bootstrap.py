"""The bootstrap interval: coverage, pairing, determinism, memory bound."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.ops import bootstrap
from chiasm.ops.bootstrap import bootstrap_mean, bootstrap_means, bootstrap_of, bootstrap_of_sums


def test_interval_covers_the_true_rate_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    inside = []
    for repeat in range(400):
        answers = generator.random(150) < 0.7
        estimate = bootstrap_mean(answers, 400, seed=repeat)
        inside.append(estimate.low <= 0.7 <= estimate.high)
    assert 0.91 <= np.mean(inside) <= 0.98


def test_width_is_that_of_the_normal_approximation() -> None:
    answers = np.arange(2000) % 4 == 0
    estimate = bootstrap_mean(answers, 4000, seed=0)
    expected = 2 * 1.96 * np.sqrt(0.25 * 0.75 / 2000)
    assert estimate.value == 0.25
    assert estimate.high - estimate.low == pytest.approx(expected, rel=0.08)


def test_blocks_do_not_change_what_is_measured(monkeypatch) -> None:
    answers = np.arange(100) % 3 == 0
    whole = bootstrap_mean(answers, 50, seed=3)
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 700)
    assert bootstrap_mean(answers, 50, seed=3) == whole


def test_same_seed_same_interval_other_seed_other_interval() -> None:
    numbers = np.random.default_rng(0).normal(size=80)
    assert bootstrap_mean(numbers, 100, 1) == bootstrap_mean(numbers, 100, 1)
    assert bootstrap_mean(numbers, 100, 1) != bootstrap_mean(numbers, 100, 2)


def test_pairing_shows_a_difference_that_separate_intervals_hide() -> None:
    generator = np.random.default_rng(0)
    hard = generator.random(400) < 0.4
    better = ~hard
    worse = better & (generator.random(400) > 0.06)
    first, second = bootstrap_mean(better, 1000, 0), bootstrap_mean(worse, 1000, 0)
    paired = bootstrap_mean(better.astype(float) - worse.astype(float), 1000, 0)
    assert second.high > first.low
    assert paired.low > 0


def test_a_share_of_what_pictures_have_several_of_is_drawn_by_picture() -> None:
    """Five questions a picture that are all right or all wrong are no more evidence than one."""
    right = (np.arange(60) % 3 == 0).astype(float)
    clustered = np.stack([5 * right, np.full(60, 5.0)], axis=1)
    found = bootstrap_of_sums(clustered, lambda sums: sums[:, 0] / sums[:, 1], 500, seed=0)
    single = bootstrap_mean(right, 500, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((single.value, single.low, single.high))


def test_columns_are_taken_over_the_same_sets() -> None:
    values = np.random.default_rng(0).normal(size=(40, 2))
    values = np.concatenate([values, values[:, :1] - values[:, 1:]], axis=1)
    found = bootstrap_means(values, 200, seed=1)
    for column, estimate in zip(values.T, found, strict=True):
        single = bootstrap_mean(column, 200, seed=1)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((single.value, single.low, single.high))
    with pytest.raises(ValueError, match="needs values and draws"):
        bootstrap_means(values, 0, 0)


def test_blocks_do_not_change_what_is_measured_of_sums(monkeypatch) -> None:
    rows = np.random.default_rng(0).random((50, 3))
    whole = bootstrap_of_sums(rows, lambda sums: sums[:, 0] / sums.sum(axis=1), 40, seed=3)
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 700)
    assert bootstrap_of_sums(rows, lambda sums: sums[:, 0] / sums.sum(axis=1), 40, seed=3) == whole
    assert whole.low < whole.value < whole.high
    with pytest.raises(ValueError, match="needs values and draws"):
        bootstrap_of_sums(rows[:0], lambda sums: sums[:, 0], 10, 0)


def test_one_picture_has_an_interval_of_no_width() -> None:
    estimate = bootstrap_mean(np.array([True]), 10, 0)
    assert (estimate.low, estimate.value, estimate.high) == (1, 1, 1)


@pytest.mark.parametrize(("count", "draws"), [(0, 10), (5, 0)])
def test_nothing_to_resample_is_refused(count: int, draws: int) -> None:
    with pytest.raises(ValueError, match="a bootstrap needs values and draws"):
        bootstrap_mean(np.ones(count), draws, 0)


def test_a_mean_by_counts_is_the_mean_over_the_same_sets(monkeypatch) -> None:
    values = np.random.default_rng(1).normal(size=60)
    found = bootstrap_of(lambda counts: counts @ values / counts.sum(axis=1), 60, 200, seed=5)
    expected = bootstrap_mean(values, 200, seed=5)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 700)
    again = bootstrap_of(lambda counts: counts @ values / counts.sum(axis=1), 60, 200, seed=5)
    assert again == found


def test_no_pictures_no_figure() -> None:
    with pytest.raises(ValueError, match="needs values and draws"):
        bootstrap_of(lambda counts: counts.sum(axis=1), 0, 10, 0)
