"""Maps of vectors: what is near stays near, seeds fix them, and one map turned onto another finds it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.spatial import procrustes

from chiasm.core.errors import MissingExtraError
from chiasm.core.seeds import stream
from chiasm.ops.plane import plane, turned_onto
from chiasm.ops.vectors import unit_rows


@pytest.fixture
def clusters() -> tuple[np.ndarray, np.ndarray]:
    draw = stream(0, "plane")
    labels = np.repeat(np.arange(3), 12)
    return unit_rows(draw.normal(size=(3, 10))[labels] + 0.15 * draw.normal(size=(36, 10)))[0], labels


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_what_is_alike_lies_together_and_the_seed_fixes_it(clusters, method) -> None:
    vectors, labels = clusters
    points = plane(vectors, method, seed=1)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.9
    np.testing.assert_array_equal(plane(vectors, method, seed=1), points)


def test_components_keep_as_much_as_a_straight_map_can(clusters) -> None:
    vectors, _ = clusters
    points = plane(vectors, "pca", seed=0)
    values = np.linalg.eigvalsh(np.cov(vectors.T, bias=True))[::-1]
    np.testing.assert_allclose(points.var(axis=0), values[:2])
    np.testing.assert_allclose(plane(-vectors[::-1], "pca", 0)[::-1].var(axis=0), values[:2])
    assert plane(vectors[:, :1], "pca", 0)[:, 1].tolist() == [0.0] * 36


def test_a_turned_map_is_found_again() -> None:
    draw = stream(1, "plane")
    onto = draw.normal(size=(20, 2)) + [3, 4]
    turn = np.linalg.qr(draw.normal(size=(2, 2)))[0]
    moved, apart = turned_onto(7 * onto @ turn + [1, -9], onto)
    np.testing.assert_allclose(moved, onto, atol=1e-9)
    assert apart == pytest.approx(0, abs=1e-9)


def test_what_is_left_is_that_of_scipy_and_the_spread_is_kept() -> None:
    draw = stream(2, "plane")
    onto, points = draw.normal(size=(30, 2)), draw.normal(size=(30, 2))
    points += onto
    moved, apart = turned_onto(points, onto)
    *_, expected = procrustes(onto, points)
    assert apart == pytest.approx(expected)
    assert 0.1 < apart < 0.9
    assert np.linalg.norm(moved - moved.mean(axis=0)) == pytest.approx(np.linalg.norm(onto - onto.mean(axis=0)))
    for angle in np.linspace(0.05, 2 * np.pi - 0.05, 20):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = moved - moved.mean(axis=0)
        other = middle @ turn + moved.mean(axis=0)
        assert np.linalg.norm(other - onto) > np.linalg.norm(moved - onto)


def test_umap_needs_its_extra(clusters, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"the library 'umap-learn'.*chiasm\[umap\]"):
        plane(clusters[0], "umap", 0)
