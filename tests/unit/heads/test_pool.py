"""Pools: which tokens become the vector."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.heads.pool import Config


def features(num_class_tokens: int = 1) -> Features:
    prefix, patches = torch.randn(2, 3, 4), torch.randn(2, 6, 4)
    return Features(prefix=prefix, patches=patches, grid=(2, 3), num_class_tokens=num_class_tokens)


def pool(kind: str):
    return Config.parse({"by": {"kind": kind}}, "pool").build(4)


def test_each_kind_takes_its_tokens():
    given = features()
    mean = given.patches.sum(dim=1) / 6
    torch.testing.assert_close(pool("class_token")(given), given.prefix[:, 0])
    torch.testing.assert_close(pool("mean_patches")(given), mean)
    spread = mean.var(dim=1, keepdim=True, correction=0)
    normed = (mean - mean.mean(dim=1, keepdim=True)) / (spread + 1e-6).sqrt()
    torch.testing.assert_close(pool("mean_then_norm")(given), normed)
    own = given.prefix[:, 0]
    spread = own.var(dim=1, keepdim=True, correction=0)
    normed = (own - own.mean(dim=1, keepdim=True)) / (spread + 1e-6).sqrt()
    torch.testing.assert_close(pool("class_then_norm")(given), normed)
    torch.testing.assert_close(pool("class_and_mean")(given), torch.cat([given.prefix[:, 0], mean], dim=1))
    torch.testing.assert_close(pool("class_or_mean")(given), given.prefix[:, 0])
    without = features(num_class_tokens=0)
    torch.testing.assert_close(pool("class_or_mean")(without), without.patches.sum(dim=1) / 6)
    torch.testing.assert_close(pool("class_and_register")(given), given.prefix[:, :2].flatten(1))


@pytest.mark.parametrize(
    ("kind", "width"),
    [("class_token", 4), ("mean_patches", 4), ("mean_then_norm", 4), ("class_and_mean", 8), ("class_and_register", 8)],
)
def test_the_width_is_told(kind, width):
    assert pool(kind).out_dim == width == pool(kind)(features()).shape[1]


@pytest.mark.parametrize("kind", ["class_token", "class_then_norm", "class_and_mean", "class_and_register"])
def test_a_missing_class_token_is_said(kind):
    with pytest.raises(InputError, match="the trunk has none"):
        pool(kind)(features(num_class_tokens=0))


def test_a_missing_register_is_said():
    given = Features(prefix=torch.randn(2, 1, 4), patches=torch.randn(2, 6, 4), grid=(2, 3), num_class_tokens=1)
    with pytest.raises(InputError, match="a register"):
        pool("class_and_register")(given)


def test_the_class_token_is_the_default():
    given = features()
    torch.testing.assert_close(Config().build(4)(given), given.prefix[:, 0])


def test_attention_sees_all_tokens_in_any_order():
    torch.manual_seed(0)
    part = Config.parse({"by": {"kind": "attention", "num_heads": 2, "mlp": {"mlp_ratio": 2}}}, "pool").build(4).eval()
    given = features()
    assert part.out_dim == 4
    vectors = part(given)
    turned = Features(given.patches, given.prefix, given.grid, num_class_tokens=1)
    torch.testing.assert_close(part(turned), vectors)
    fewer = Features(given.prefix, given.patches[:, 1:], given.grid, num_class_tokens=1)
    assert not torch.allclose(part(fewer), vectors, atol=1e-6)
    assert {name.split(".")[0] for name, _ in part.named_parameters()} == {"probe", "attention", "norm", "mlp"}


def test_heads_that_do_not_divide_the_width_are_told():
    with pytest.raises(InputError, match="3 does not divide 4"):
        Config.parse({"by": {"kind": "attention", "num_heads": 3}}, "pool").build(4)


def queries(**settings: object) -> Any:
    by = {"kind": "queries", "num_queries": 3, "num_heads": 2, **settings}
    made = Config.parse({"by": by}, "pool").build(4).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def test_queries_see_all_tokens_and_the_first_is_the_vector():
    """Against the formula: normed queries look at normed tokens, head by head, and what they see is normed."""
    given, made = features(), queries(out_dim=6, norm_eps=1e-5, last_norm_eps=1e-2)
    given = Features(given.prefix.double(), given.patches.double(), given.grid, 1)
    tokens = torch.nn.functional.layer_norm(torch.cat([given.prefix, given.patches], dim=1), (4,))
    tokens = tokens * made.token_norm.weight + made.token_norm.bias
    asked = made.query_norm(made.queries) @ made.attention.query.weight.T + made.attention.query.bias
    key, value = (tokens @ made.attention.key_value.weight.T + made.attention.key_value.bias).chunk(2, dim=2)
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        shares = (key[:, :, head] @ asked[:, head].T / 3**0.5).softmax(dim=1)
        heads.append(shares.transpose(1, 2) @ value[:, :, head])
    joined = torch.cat(heads, dim=2) @ made.attention.projection.weight.T + made.attention.projection.bias
    mean, spread = joined.mean(dim=2, keepdim=True), joined.var(dim=2, keepdim=True, correction=0)
    expected = (joined - mean) / (spread + 1e-2).sqrt() * made.norm.weight + made.norm.bias
    # The eps of the norm of the tokens is the one that `layer_norm` takes by itself.
    torch.testing.assert_close(made.all(given), expected)
    torch.testing.assert_close(made(given), expected[:, 0])
    assert made.out_dim == 6
    assert queries().out_dim == 4


def test_heads_of_queries_must_divide_their_width():
    with pytest.raises(InputError, match="4 does not divide 6"):
        queries(out_dim=6, num_heads=4)
