"""Rollout, relevance and Grad-CAM against the papers' formulas written out with loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chiasm.ops.relevance import balanced, gathered, raising, relevance, rollout, shares, unit_sums, weighted_features

BATCH, HEADS, TOKENS, WIDTH = 2, 3, 5, 4


@pytest.fixture
def weights() -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(BATCH, HEADS, TOKENS, TOKENS, dtype=torch.float64).softmax(dim=-1) for _ in range(2)]


@pytest.fixture
def gradients() -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(BATCH, HEADS, TOKENS, TOKENS, dtype=torch.float64) for _ in range(2)]


def test_rollout_is_the_formula(weights):
    found = rollout(weights)
    for picture in range(BATCH):
        expected = torch.eye(TOKENS, dtype=torch.float64)
        for each in weights:
            step = torch.zeros(TOKENS, TOKENS, dtype=torch.float64)
            for row in range(TOKENS):
                for column in range(TOKENS):
                    mean = sum(float(each[picture, head, row, column]) for head in range(HEADS)) / HEADS
                    step[row, column] = mean + (row == column)
                step[row] /= step[row].sum()
            expected = step @ expected
        torch.testing.assert_close(found[picture], expected)


def test_rows_of_a_rollout_sum_to_1(weights):
    torch.testing.assert_close(rollout(weights).sum(dim=-1), torch.ones(BATCH, TOKENS, dtype=torch.float64))


def test_relevance_is_the_formula(weights, gradients):
    found = relevance(weights, gradients)
    for picture in range(BATCH):
        expected = torch.eye(TOKENS, dtype=torch.float64)
        for each, slope in zip(weights, gradients, strict=True):
            step = torch.zeros(TOKENS, TOKENS, dtype=torch.float64)
            for row in range(TOKENS):
                for column in range(TOKENS):
                    for head in range(HEADS):
                        product = float(each[picture, head, row, column] * slope[picture, head, row, column])
                        step[row, column] += max(product, 0) / HEADS
            expected = expected + step @ expected
        torch.testing.assert_close(found[picture], expected)


def test_balanced_is_the_formula(weights, gradients):
    relevant = relevance(weights, gradients)
    torch.testing.assert_close(gathered(relevant), relevant - torch.eye(TOKENS, dtype=torch.float64))
    found = balanced(relevant)
    for picture in range(BATCH):
        for row in range(TOKENS):
            got = [float(relevant[picture, row, column]) - (row == column) for column in range(TOKENS)]
            for column in range(TOKENS):
                expected = got[column] / sum(got) + (row == column)
                assert float(found[picture, row, column]) == pytest.approx(expected)
    small = relevance(weights, [1e-6 * each for each in gradients])
    assert torch.allclose(balanced(small).sum(dim=-1), torch.full((BATCH, TOKENS), 2.0, dtype=torch.float64))


def test_order_of_the_blocks_matters(weights, gradients):
    assert not torch.allclose(relevance(weights, gradients), relevance(weights[::-1], gradients[::-1]))
    assert not torch.allclose(rollout(weights), rollout(weights[::-1]))


def test_attention_that_lowered_the_score_does_not_count(weights):
    assert not raising(weights[0], -torch.ones_like(weights[0])).any()
    identity = torch.eye(TOKENS, dtype=torch.float64).expand(BATCH, -1, -1)
    assert torch.equal(relevance(weights, [-torch.ones_like(each) for each in weights]), identity)


def test_shares_are_one_hot_for_a_class_token_and_equal_for_a_mean():
    tokens = torch.randn(BATCH, TOKENS, WIDTH, requires_grad=True)
    direction = torch.randn(WIDTH)
    (slope,) = torch.autograd.grad((tokens[:, 0] @ direction).sum(), tokens)
    assert torch.equal(shares(slope), torch.eye(TOKENS)[:1].expand(BATCH, -1))
    (slope,) = torch.autograd.grad((tokens[:, 1:].mean(dim=1) @ direction).sum(), tokens)
    torch.testing.assert_close(shares(slope)[:, 1:], torch.full((BATCH, TOKENS - 1), 1 / (TOKENS - 1)))
    assert not shares(slope)[:, 0].any()
    assert not shares(torch.zeros(BATCH, TOKENS, WIDTH)).any()


def test_weighted_features_are_the_formula():
    torch.manual_seed(0)
    patches, slopes = torch.randn(BATCH, TOKENS, WIDTH), torch.randn(BATCH, TOKENS, WIDTH)
    found = weighted_features(patches, slopes)
    for picture in range(BATCH):
        channel_weights = [float(slopes[picture, :, channel].sum()) / TOKENS for channel in range(WIDTH)]
        for token in range(TOKENS):
            value = sum(channel_weights[channel] * float(patches[picture, token, channel]) for channel in range(WIDTH))
            assert float(found[picture, token]) == pytest.approx(max(value, 0), abs=1e-6)
    assert (found == 0).any()
    assert (found > 0).any()


def test_unit_sums_leave_zeros():
    found = unit_sums(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    assert found.tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_half_precision_is_summed_in_float32(weights):
    assert rollout([each.bfloat16() for each in weights]).dtype == torch.float32
