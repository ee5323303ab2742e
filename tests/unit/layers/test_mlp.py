"""Feed-forward parts against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from chiasm.layers.mlp import AnyMlp, GeluMlp, SwiGlu, SwiGluMlp


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_quick(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


@pytest.mark.parametrize("formula", [gelu, gelu_tanh, gelu_quick])
def test_the_activation_is_its_formula(formula: Callable[[Tensor], Tensor]):
    torch.manual_seed(0)
    settings = TypeAdapter(AnyMlp).validate_python({"kind": formula.__name__, "mlp_ratio": 2})
    part: Any = settings.build(6).double()
    tokens = torch.randn(2, 3, 6, dtype=torch.float64)
    assert part.up.out_features == 12
    torch.testing.assert_close(part(tokens), part.down(formula(part.up(tokens))))


def test_settings_without_a_kind_are_those_of_the_usual_one():
    assert TypeAdapter(AnyMlp).validate_python({"mlp_ratio": 2}) == GeluMlp(mlp_ratio=2)
    assert TypeAdapter(AnyMlp).validate_python(SwiGluMlp(mlp_ratio=2)) == SwiGluMlp(mlp_ratio=2)


def test_swiglu_multiplies_the_gate_with_the_rest():
    torch.manual_seed(0)
    part = SwiGlu(4, 6).double()
    tokens = torch.randn(2, 3, 4, dtype=torch.float64)
    weight, bias = part.gate_up.weight, part.gate_up.bias
    gate = tokens @ weight[:6].T + bias[:6]
    up = tokens @ weight[6:].T + bias[6:]
    torch.testing.assert_close(part(tokens), part.down(gate * torch.sigmoid(gate) * up))


def test_widths_follow_the_published_models():
    assert SwiGluMlp().width(1536) == 4096  # DINOv2 giant
    assert SwiGluMlp(hidden_dim=100).width(1536) == 100
    assert GeluMlp(hidden_dim=4304).width(1152) == 4304  # SigLIP So400m
    assert GeluMlp().width(768) == 3072
