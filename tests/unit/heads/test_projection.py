"""The projection head of contrastive learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from chiasm.heads.projection import Config


def kinds(head: Any) -> list[str]:
    return [type(part).__name__ for part in head.layers]


def test_layers_are_those_of_simclr():
    head = Config().build(8)
    between = ["Linear", "JoinedBatchNorm1d", "ReLU"]
    assert kinds(head) == [*between, *between, "Linear", "JoinedBatchNorm1d"]
    assert kinds(Config(num_layers=2).build(8)) == [*between, "Linear", "JoinedBatchNorm1d"]
    assert kinds(Config(num_layers=1).build(8)) == ["Linear", "JoinedBatchNorm1d"]
    assert [part.weight.shape for part in head.layers if isinstance(part, nn.Linear)] == [(8, 8), (8, 8), (128, 8)]
    assert all(part.bias is None for part in head.layers if isinstance(part, nn.Linear))
    assert head.layers[-1].weight is not None
    assert head.layers[-1].bias is None


def test_mocos_head_has_no_gain_and_its_own_width():
    head = Config(hidden_dim=32, out_dim=16, last_norm="plain").build(8)
    assert head.layers[-1].weight is None
    assert head.layers[0].out_features == 32
    assert head.out_dim == 16
    assert kinds(Config(last_norm="none").build(8))[-1] == "Identity"


def test_two_layers_are_the_formula():
    torch.manual_seed(0)
    head: Any = Config(num_layers=2, out_dim=3).build(5).double()
    vectors = torch.randn(16, 5, dtype=torch.float64)

    def standardised(values: torch.Tensor) -> torch.Tensor:
        return (values - values.mean(dim=0)) / (values.var(dim=0, unbiased=False) + 1e-5).sqrt()

    hidden = standardised(vectors @ head.layers[0].weight.T).clamp(min=0)
    torch.testing.assert_close(head(vectors), standardised(hidden @ head.layers[3].weight.T))


def test_inference_uses_the_running_statistics():
    torch.manual_seed(0)
    head = Config(num_layers=2, out_dim=3).build(5)
    for _ in range(200):
        head(torch.randn(64, 5))
    head.eval()
    vectors = torch.randn(4, 5)
    torch.testing.assert_close(head(vectors)[:1], head(vectors[:1]))


def test_every_weight_learns():
    torch.manual_seed(0)
    head = Config(out_dim=3).build(5)
    head(torch.randn(16, 5)).pow(3).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in head.parameters())


def test_a_batch_of_one_cannot_train():
    with pytest.raises(ValueError, match="more than 1 value"):
        Config().build(5)(torch.randn(1, 5))
