"""The head of self-distillation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chiasm.heads.prototypes import Config


def test_layers_are_those_of_dino():
    torch.manual_seed(0)
    head = Config(num_prototypes=50).build(384)
    linear = [part for part in head.mlp if isinstance(part, nn.Linear)]
    assert [tuple(part.weight.shape) for part in linear] == [(2048, 384), (2048, 2048), (256, 2048)]
    assert [type(part).__name__ for part in head.mlp] == ["Linear", "GELU", "Linear", "GELU", "Linear"]
    assert all(part.bias is not None and not part.bias.any() for part in linear)
    assert all(float(part.weight.detach().std()) == pytest.approx(0.02, rel=0.05) for part in linear)
    assert head.prototypes.directions.shape == (50, 256)
    assert {name.split(".")[0] for name, _ in head.named_parameters()} == {"mlp", "prototypes"}


def test_narrow_trunks_get_a_narrow_head_unless_a_width_is_given():
    assert Config(num_prototypes=4).build(64).mlp[0].out_features == 512
    assert Config(num_prototypes=4).build(768).mlp[0].out_features == 2048
    assert Config(num_prototypes=4, hidden_dim=32).build(64).mlp[0].out_features == 32
    assert len(Config(num_prototypes=4, num_layers=1).build(8).mlp) == 1


@pytest.mark.parametrize("norm_last_layer", [True, False])
def test_scores_are_cosines_times_the_gain(norm_last_layer):
    torch.manual_seed(0)
    head = Config(num_prototypes=6, hidden_dim=8, bottleneck_dim=4, norm_last_layer=norm_last_layer).build(5)
    vectors = torch.randn(3, 5)
    inner = head.mlp(vectors)
    expected = torch.nn.functional.cosine_similarity(inner[:, None], head.prototypes.directions[None], dim=2)
    gain = head.prototypes.gain
    assert (gain is None) == norm_last_layer
    if gain is not None:
        assert torch.equal(gain.detach(), torch.ones(6, 1))
        with torch.no_grad():
            gain.copy_(torch.rand(6, 1))
        expected = expected * gain.T
    torch.testing.assert_close(head(vectors), expected)
    # The length of a direction says nothing.
    with torch.no_grad():
        head.prototypes.directions.mul_(3)
    torch.testing.assert_close(head(vectors), expected)
