"""Components of patches: those of numpy's and scikit-learn's decompositions, with signs, scales and sides settled."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from chiasm.ops.components import component_colours, components, foreground


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape) @ np.diag(np.linspace(3, 1, shape[-1])) + generator.normal(size=shape[-1])


@pytest.mark.parametrize(("num_tokens", "width"), [(200, 12), (5, 12), (12, 12)])
def test_components_are_those_of_a_singular_value_decomposition(num_tokens: int, width: int):
    tokens = drawn(num_tokens, width)
    found = components(tokens, 3)
    _, values, rows = np.linalg.svd(tokens - tokens.mean(axis=0))
    assert np.allclose(found.variances, values[:3] ** 2 / num_tokens, rtol=1e-10)
    assert np.allclose(np.abs((found.directions * rows[:3]).sum(axis=1)), 1, atol=1e-9)
    other = PCA(3, svd_solver="full").fit(tokens)
    assert np.allclose(np.abs(found.scores(tokens)), np.abs(other.transform(tokens)), atol=1e-8)


def test_signs_are_settled_and_do_not_depend_on_the_order_or_the_side():
    tokens = drawn(60, 8)
    found = components(tokens, 3)
    assert (found.directions[np.arange(3), np.abs(found.directions).argmax(axis=1)] > 0).all()
    for other in (tokens[::-1], np.roll(tokens, 7, axis=0), -tokens):
        assert np.allclose(components(other, 3).directions, found.directions, atol=1e-9)


def test_float32_tokens_with_a_large_mean_lose_nothing():
    tokens = (drawn(500, 16) + 1000).astype(np.float32)
    found, exact = components(tokens, 3), components(tokens.astype(np.float64), 3)
    assert np.allclose(found.directions, exact.directions, atol=1e-12)


def test_colours_mean_the_same_in_all_pictures():
    tokens = drawn(4, 5, 6, 10)
    whole = component_colours(tokens, np.ones((4, 5, 6), bool))
    assert whole.min() == 0
    assert whole.max() == 1
    flipped = component_colours(tokens[::-1], np.ones((4, 5, 6), bool))
    assert np.allclose(flipped[::-1], whole, atol=1e-9)
    scores = PCA(3, svd_solver="full").fit_transform(tokens.reshape(-1, 10))
    order = np.argsort(np.abs(np.corrcoef(scores.T, whole.reshape(-1, 3).T)[:3, 3:]), axis=1)[:, -1]
    assert order.tolist() == [0, 1, 2]


def test_single_patches_far_away_leave_the_others_their_colours():
    tokens = drawn(2, 12, 12, 6)
    far = tokens.copy()
    # Along the first component, so that it stays the first.
    far[0, 0, 0] += 40 * components(tokens.reshape(-1, 6), 1).directions[0]
    whole = component_colours(far, np.ones((2, 12, 12), bool)).reshape(-1, 3)
    assert whole[1:].std(axis=0).min() > 0.15


def test_patches_that_are_left_out_are_black_and_do_not_count():
    tokens = drawn(3, 4, 4, 8)
    kept = np.random.default_rng(1).random((3, 4, 4)) < 0.5
    colours = component_colours(tokens, kept)
    assert (colours[~kept] == 0).all()
    moved = np.where(kept[..., None], tokens, 1e3)
    assert np.allclose(component_colours(moved, kept), colours)
    assert (component_colours(tokens, np.zeros_like(kept)) == 0).all()


def test_a_component_that_tells_nothing_apart_is_even():
    tokens = np.outer(np.arange(9.0), [1, 2, 3, 4]).reshape(1, 3, 3, 4)
    colours = component_colours(tokens, np.ones((1, 3, 3), bool))
    assert np.ptp(colours[..., 0]) == 1
    assert (colours[..., 1:] == 0.5).all()
    assert (component_colours(np.ones((1, 2, 2, 4)), np.ones((1, 2, 2), bool)) == 0.5).all()
    assert (component_colours(np.ones((1, 1, 1, 2)), np.ones((1, 1, 1), bool)) == 0.5).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_foreground_is_what_keeps_off_the_edges(sign: int):
    inside = np.zeros((5, 8, 8), bool)
    for picture, (row, column) in enumerate([(1, 1), (2, 3), (4, 2), (3, 3), (1, 4)]):
        inside[picture, row : row + 3, column : column + 3] = True
    tokens = 0.03 * drawn(5, 8, 8, 6)
    tokens[inside] += sign * np.array([5.0, 0, 0, 2, 0, 0])
    assert (foreground(tokens) == inside).all()


def test_patches_that_do_not_differ_are_all_foreground():
    assert foreground(np.full((2, 3, 3, 4), 0.1, np.float32)).all()
