"""Neighbours, groups and oddity against the slow formulas."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.ops import neighbours
from chiasm.ops.neighbours import groups_of_similar, nearest_others, neighbours_class, odd_scores, robust_z
from chiasm.ops.vectors import unit_rows


def drawn(rows: int, width: int = 5, seed: int = 0) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32))[0]


def test_nearest_others_are_those_of_the_whole_matrix() -> None:
    vectors = drawn(40)
    cosines, rows = nearest_others(vectors, 7)
    whole = vectors @ vectors.T
    np.fill_diagonal(whole, -np.inf)
    np.testing.assert_array_equal(rows, np.argsort(-whole, axis=1)[:, :7])
    np.testing.assert_allclose(cosines, -np.sort(-whole, axis=1)[:, :7], atol=1e-6)
    assert nearest_others(vectors[:3], 9)[1].shape == (3, 2)
    for count, k in ((1, 1), (3, 0)):
        with pytest.raises(ValueError, match="two rows"):
            nearest_others(vectors[:count], k)


def slow_groups(vectors: np.ndarray, threshold: float) -> list[int]:
    """Spread from each row to all it reaches."""
    first = [-1] * len(vectors)
    for start in range(len(vectors)):
        waiting = [start] if first[start] < 0 else []
        while waiting:
            row = waiting.pop()
            first[row] = start
            near = np.flatnonzero(vectors @ vectors[row] >= threshold).tolist()
            waiting += [other for other in near if first[other] < 0]
    return first


@pytest.mark.parametrize("block", [3, 7, 64])
@pytest.mark.parametrize("threshold", [0.5, 0.85, 0.97])
def test_groups_are_the_connected_components_whatever_the_blocks(monkeypatch, block: int, threshold: float) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", block)
    vectors = drawn(60, width=4, seed=2)
    found = groups_of_similar(vectors, threshold)
    assert found.tolist() == slow_groups(vectors, threshold)
    assert len(set(found.tolist())) < 60


def test_chains_over_several_blocks_become_one_group(monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 2)
    angles = np.deg2rad(np.arange(0, 90, 5))
    order = np.random.default_rng(3).permutation(len(angles))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)[order]
    assert set(groups_of_similar(vectors, float(np.cos(np.deg2rad(6))))) == {0}
    assert len(set(groups_of_similar(vectors, float(np.cos(np.deg2rad(4)))))) == len(angles)


def test_equal_rows_belong_together_at_the_highest_threshold() -> None:
    vectors = np.repeat(drawn(20, width=384), 2, axis=0)
    assert groups_of_similar(vectors, 1.0).tolist() == np.repeat(np.arange(0, 40, 2), 2).tolist()


def test_nothing_has_no_groups() -> None:
    assert groups_of_similar(np.zeros((0, 4), np.float32), 0.9).tolist() == []


def test_scores_are_mean_distances() -> None:
    cosines = np.array([[1.0, 0.5], [0.25, -0.75]], np.float32)
    np.testing.assert_allclose(odd_scores(cosines), [0.25, 1.25])


def test_robust_z_is_that_of_a_normal_sample_and_ignores_what_lies_far_out() -> None:
    sample = np.random.default_rng(0).normal(5, 2, 20_000)
    np.testing.assert_allclose(robust_z(sample), (sample - 5) / 2, atol=0.1)
    spoilt = np.concatenate([sample, np.full(500, 1e6)])
    np.testing.assert_allclose(robust_z(spoilt)[:20_000], (sample - 5) / 2, atol=0.25)


def test_robust_z_of_scores_that_are_mostly_equal() -> None:
    np.testing.assert_allclose(robust_z(np.array([1.0, 1, 1, 2])), [0, 0, 0, 1 / (1.2533 * 0.25)])
    assert robust_z(np.ones(4)).tolist() == [0, 0, 0, 0]


def test_the_class_of_the_neighbours_is_the_most_frequent_one_of_those_known() -> None:
    labels = np.array([0, 1, 1, -1, -1, 2])
    rows = np.array([[1, 2, 0], [3, 0, 4], [0, 1, 3], [1, 0, 3], [3, 3, 3], [0, 1, 2]])
    found, share = neighbours_class(labels, rows)
    assert found.tolist() == [1, 0, 0, 1, -1, 1]
    np.testing.assert_allclose(share, [2 / 3, 1, 1 / 2, 1 / 2, 0, 2 / 3])
