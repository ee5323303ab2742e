"""Paired tests and intervals over draws against scipy and slow formulas."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from chiasm.ops.draws import mean_of_draws
from chiasm.ops.paired import holm, mcnemar


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (9, 1), (1, 9), (40, 22), (0, 5)])
def test_mcnemar_is_an_exact_test_of_a_fair_coin(first: int, second: int) -> None:
    total, fewer = first + second, min(first, second)
    expected = min(1.0, 2 * sum(comb(total, place) for place in range(fewer + 1)) / 2**total)
    assert mcnemar(first, second) == pytest.approx(expected)
    if total:
        assert mcnemar(first, second) == pytest.approx(stats.binomtest(first, total).pvalue)


def test_mcnemar_between_equals_is_rarely_small() -> None:
    generator = np.random.default_rng(0)
    small = []
    for _ in range(400):
        one, other = generator.random((2, 100)) < 0.6
        small.append(mcnemar(int((one & ~other).sum()), int((other & ~one).sum())) < 0.05)
    assert np.mean(small) < 0.06


def test_holm_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.5 x 1; never falling, at most 1.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, 0.5, 0.02])), [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_interval_over_draws_is_that_of_student() -> None:
    values = np.random.default_rng(0).normal(size=8)
    found = mean_of_draws(values)
    low, high = stats.t.interval(0.95, 7, values.mean(), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    with pytest.raises(ValueError, match="at least two"):
        mean_of_draws(values[:1])
