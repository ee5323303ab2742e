"""Layer scale and drop path."""

from __future__ import annotations

import pytest
import torch

from chiasm.layers.residual import DropPath, LayerScale


def test_layer_scale_is_a_gain_per_number():
    part = LayerScale(3, 1e-5)
    torch.testing.assert_close(part(torch.ones(1, 2, 3)), torch.full((1, 2, 3), 1e-5))


def test_drop_path_drops_whole_pictures_and_keeps_the_expectation():
    torch.manual_seed(0)
    part = DropPath(0.3)
    tokens = torch.rand(20_000, 2, 3) + 1
    dropped = part(tokens)
    gone = (dropped == 0).all(dim=2).all(dim=1)
    torch.testing.assert_close(dropped[~gone], tokens[~gone] / 0.7)
    assert float(gone.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(dropped.mean() / tokens.mean()) == pytest.approx(1, abs=0.02)


def test_drop_path_rests_in_inference_and_at_rate_zero():
    tokens = torch.randn(8, 2, 3)
    assert DropPath(0.5).eval()(tokens) is tokens
    assert DropPath(0.0)(tokens) is tokens


def test_drop_path_passes_the_gradient_of_what_it_keeps():
    torch.manual_seed(0)
    tokens = torch.ones(64, 1, 1, requires_grad=True)
    kept = DropPath(0.5)(tokens)
    kept.sum().backward()
    torch.testing.assert_close(tokens.grad, kept.detach())


def test_drop_path_does_not_round_its_factor_to_bfloat16():
    torch.manual_seed(0)
    tokens = torch.full((64, 1, 1), 0.9, dtype=torch.bfloat16)
    kept = DropPath(0.1)(tokens)
    assert set(kept.flatten().tolist()) == {0.0, float((tokens[0] / 0.9).item())}
