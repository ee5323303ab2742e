"""How weights begin."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from chiasm.layers.initialise import Normal, Xavier, initialise
from chiasm.layers.patch import PatchEmbedding


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = PatchEmbedding(3, 4, 256, bias=True)
        self.inner = nn.Sequential(nn.Linear(256, 512), nn.LayerNorm(512))


@pytest.mark.parametrize(
    ("how", "deviation"), [(Normal(), 0.02), (Normal(deviation=0.1), 0.1), (Xavier(), math.sqrt(2 / (256 + 512)))]
)
def test_linear_maps_follow_the_rule_and_patches_are_xavier(how, deviation):
    torch.manual_seed(0)
    module = Both()
    initialise(module, how)
    linear: Any = module.inner[0]
    assert float(linear.weight.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert not linear.bias.any()
    largest = float(module.patch.projection.weight.detach().abs().max())
    assert largest == pytest.approx(math.sqrt(6 / (48 + 256)), rel=0.01)


def test_the_same_seed_gives_the_same_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        module = Both()
        initialise(module, Normal())
        weights.append(module.patch.projection.weight)
    torch.testing.assert_close(*weights, rtol=0, atol=0)
