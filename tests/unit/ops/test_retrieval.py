"""Ranks of retrieval against a loop over sorted lists."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.ops import retrieval
from chiasm.ops.retrieval import first_ranks


def test_ranks_are_those_of_a_sorted_list(monkeypatch) -> None:
    generator = np.random.default_rng(0)
    queries, gallery = generator.normal(size=(30, 8)), generator.normal(size=(50, 8))
    groups, others = generator.integers(0, 10, 30), np.concatenate([np.arange(10), generator.integers(0, 10, 40)])
    found = first_ranks(queries, groups, gallery, others)
    for row in range(30):
        order = np.argsort(-(gallery @ queries[row]))
        assert found[row] == 1 + np.flatnonzero(others[order] == groups[row])[0]
    monkeypatch.setattr(retrieval, "_COSINES_AT_ONCE", 120)
    np.testing.assert_array_equal(first_ranks(queries, groups, gallery, others), found)


def test_a_model_that_tells_nothing_apart_finds_nothing_early() -> None:
    same = np.ones((5, 3))
    assert first_ranks(same, np.arange(5), same, np.arange(5)).tolist() == [5] * 5


def test_every_query_has_an_answer() -> None:
    with pytest.raises(ValueError, match="needs a right row"):
        first_ranks(np.ones((1, 2)), np.array([3]), np.ones((2, 2)), np.array([0, 1]))
