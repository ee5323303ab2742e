"""Attention: two ways with the same numbers, and the choice between them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from chiasm.layers import attention as attentions
from chiasm.layers.attention import (
    Attention,
    QueryValueBias,
    attend,
    explicit_attention,
    fused_attention,
    recorded,
)


def operands(length: int = 9, dtype: torch.dtype = torch.float64, grad: bool = False) -> list[torch.Tensor]:
    torch.manual_seed(0)
    joint = torch.randn(2, length, 3 * 3 * 4, dtype=dtype).requires_grad_(grad)
    return list(joint.unflatten(-1, (3, 3, 4)).permute(2, 0, 3, 1, 4).unbind(0))


@pytest.mark.parametrize("way", [explicit_attention, fused_attention])
def test_each_way_is_the_formula(way):
    query, key, value = operands()
    mixed = way(query, key, value)
    for picture in range(2):
        for head in range(3):
            scores = query[picture, head] @ key[picture, head].T / math.sqrt(4)
            shares = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            torch.testing.assert_close(mixed[picture, head], shares @ value[picture, head])


@pytest.mark.parametrize("length", [1, 64, 200])
def test_both_ways_have_the_same_gradients(length):
    parts = operands(length, grad=True)
    weight = torch.randn(2, 3, length, 4, dtype=torch.float64)
    found = [torch.autograd.grad((way(*parts) * weight).sum(), parts) for way in (explicit_attention, fused_attention)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_both_ways_pass_over_what_is_not_seen():
    torch.manual_seed(1)
    query, key, value = parts = operands(7, grad=True)
    seen = torch.rand(2, 1, 7, 7) < 0.5
    seen[0, 0, 3] = False
    weight = torch.randn(2, 3, 7, 4, dtype=torch.float64)
    mixed = [way(query, key, value, seen) for way in (explicit_attention, fused_attention)]
    torch.testing.assert_close(*mixed)
    assert (mixed[0][0, :, 3] == 0).all()
    for one, other in zip(*(torch.autograd.grad((each * weight).sum(), parts) for each in mixed), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("hidden", [False, True])
def test_looking_back_is_the_same_in_training_and_without(hidden):
    query, key, value = operands(6, grad=True)
    seen = None
    if hidden:
        seen = torch.ones(2, 1, 1, 6, dtype=torch.bool)
        seen[1, ..., 4:] = False
    assert attentions.explicit_is_faster(query)
    trained = attentions.attend_back(query, key, value, seen)
    with torch.no_grad():
        torch.testing.assert_close(attentions.attend_back(query, key, value, seen), trained.detach())
    first = torch.autograd.grad(trained[:, :, 2].sum(), value)[0]
    assert (first[:, :, 3:] == 0).all()
    assert (first[:, :, :3] != 0).all()


def test_bfloat16_is_near_float64_in_both_ways():
    parts = operands(65, torch.bfloat16)
    truth = fused_attention(*(part.double() for part in parts))
    for way in (explicit_attention, fused_attention):
        error = (way(*parts).double() - truth).norm() / truth.norm()
        assert error < 8e-3, way


def test_explicit_products_are_for_short_training_on_a_cpu_that_multiplies(monkeypatch):
    short, long = (
        operands(attentions.EXPLICIT_UP_TO, grad=True)[0],
        operands(attentions.EXPLICIT_UP_TO + 1, grad=True)[0],
    )
    assert attentions.explicit_is_faster(short)
    assert not attentions.explicit_is_faster(long)
    assert not attentions.explicit_is_faster(short.detach())
    with torch.no_grad():
        assert not attentions.explicit_is_faster(short)
    for units, expected in (({"amx_bf16": True}, True), ({"amx_bf16": False}, False)):
        attentions._cpu_multiplies.cache_clear()
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units)
        assert attentions.explicit_is_faster(operands(8, torch.bfloat16, grad=True)[0]) is expected
    attentions._cpu_multiplies.cache_clear()


def test_attend_takes_the_way_that_is_chosen(monkeypatch):
    monkeypatch.setattr(attentions, "explicit_attention", lambda *parts: "explicit")
    monkeypatch.setattr(attentions, "fused_attention", lambda *parts: "fused")
    monkeypatch.setattr(attentions, "explicit_is_faster", lambda query: query.shape[-2] < 5)
    bare = getattr(attend, "__wrapped__", attend)
    assert [bare(*operands(length)) for length in (4, 5)] == ["explicit", "fused"]


def test_training_and_inference_give_the_same_tokens():
    torch.manual_seed(0)
    layer = Attention(4, nn.Linear(16, 48), nn.Linear(16, 16)).double()
    tokens = torch.randn(2, 7, 16, dtype=torch.float64)
    trained = layer(tokens)
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens), trained.detach())


def test_query_value_bias_is_a_linear_map_with_zeros_for_the_keys():
    torch.manual_seed(0)
    joint = QueryValueBias(4)
    nn.init.normal_(joint.query_bias)
    nn.init.normal_(joint.value_bias)
    plain = nn.Linear(4, 12)
    plain.weight = joint.weight
    plain.bias = nn.Parameter(torch.cat([joint.query_bias, torch.zeros(4), joint.value_bias]).detach())
    tokens = torch.randn(2, 3, 4)
    torch.testing.assert_close(joint(tokens), plain(tokens))


def test_recorded_weights_are_the_formula_and_change_nothing():
    torch.manual_seed(0)
    first, second = (Attention(2, nn.Linear(8, 24), nn.Linear(8, 8)).double() for _ in range(2))
    layers = nn.Sequential(first, second)
    tokens = torch.randn(3, 5, 8, dtype=torch.float64)
    plain = layers(tokens)
    with recorded(layers) as weights:
        torch.testing.assert_close(layers(tokens), plain)
    assert [tuple(each.shape) for each in weights] == [(3, 2, 5, 5)] * 2
    query, key, _ = first.query_key_value(tokens).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / 2
    torch.testing.assert_close(weights[0], scores.exp() / scores.exp().sum(dim=-1, keepdim=True))
    layers(tokens)
    assert len(weights) == 2


def test_recorded_weights_belong_to_the_graph():
    torch.manual_seed(0)
    layer = Attention(2, nn.Linear(8, 24), nn.Linear(8, 8)).double()
    with recorded(layer) as weights:
        (gradient,) = torch.autograd.grad(layer(torch.randn(1, 4, 8, dtype=torch.float64)).sum(), weights)
    assert gradient.shape == weights[0].shape
    assert gradient.abs().min() > 0


def test_recording_ends_with_an_error_and_passes_over_what_looks_back():
    back = Attention(2, nn.Linear(8, 24), nn.Linear(8, 8), attentions.attend_back)
    layers = nn.Sequential(back, Attention(2, nn.Linear(8, 24), nn.Linear(8, 8)))
    with recorded(layers) as weights, pytest.raises(RuntimeError):
        layers(torch.randn(1, 4, 9))
    with recorded(layers) as weights:
        layers(torch.randn(1, 4, 8))
    assert len(weights) == 1
    assert [layer.look for layer in layers] == [attentions.attend_back, attend]
