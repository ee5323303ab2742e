"""The text trunk: who sees whom, how long a text may be, how it begins."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.protocols import TextTrunk
from chiasm.trunks import text

SMALL = {"vocab_size": 30, "context_length": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]])


def small(**changes: object) -> TextTrunk:
    torch.manual_seed(0)
    return text.Config.parse({**SMALL, **changes}, "a trunk").build().double().eval()


@pytest.mark.parametrize("looks_back", [True, False])
def test_a_token_sees_those_before_it_or_all(looks_back):
    trunk = small(looks_back=looks_back)
    other = TOKENS.clone()
    other[:, 5] = 11
    moved = (trunk(TOKENS) - trunk(other)).abs().amax(dim=(0, 2)) > 1e-9
    assert moved.tolist() == [not looks_back] * 5 + [True] * 3
    assert trunk.looks_back == looks_back


def test_what_looks_back_can_be_cut_anywhere():
    trunk = small()
    torch.testing.assert_close(trunk(TOKENS)[:, :5], trunk(TOKENS[:, :5]))


def test_the_gradient_is_that_of_written_out_attention():
    trunk = small(depth=1)
    attention = trunk.get_submodule("blocks.0.attention")
    vectors = torch.randn(2, 8, 16, dtype=torch.float64, requires_grad=True)
    joint = attention.get_submodule("query_key_value")(vectors).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
    scores = joint[0] @ joint[1].transpose(-1, -2) / 8**0.5
    shares = scores.masked_fill(torch.ones(8, 8).triu(1).bool(), float("-inf")).softmax(dim=-1)
    expected = attention.get_submodule("projection")((shares @ joint[2]).transpose(1, 2).flatten(2))
    found = attention(vectors)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    one, other = (torch.autograd.grad((answer * weight).sum(), vectors)[0] for answer in (found, expected))
    torch.testing.assert_close(one, other)


def test_vectors_may_stand_in_for_tokens():
    trunk = small()
    vectors = trunk.token_embedding(TOKENS).detach().requires_grad_()
    found = trunk.encode(vectors)
    torch.testing.assert_close(found, trunk(TOKENS))
    (gradient,) = torch.autograd.grad(found[:, -1, 0].sum(), vectors)
    assert (gradient.abs().amax(dim=2) > 0).all()
    with pytest.raises(ValueError, match="at most 8 tokens long, but 9 came"):
        trunk.encode(torch.zeros(1, 9, 16, dtype=torch.float64))


def test_order_matters_and_each_text_is_on_its_own():
    trunk = small(looks_back=False)
    assert not torch.allclose(trunk(TOKENS)[:, 0], trunk(TOKENS[:, [0, 2, 1, 3, 4, 5, 6, 7]])[:, 0])
    torch.testing.assert_close(trunk(TOKENS)[1:], trunk(TOKENS[1:]))


def test_too_long_a_text_is_told():
    with pytest.raises(ValueError, match="at most 8 tokens long, but 9 came"):
        small()(torch.zeros(1, 9, dtype=torch.int64))
    with pytest.raises(InputError, match="3 does not divide 16"):
        small(num_heads=3)


def test_it_begins_small():
    trunk = small(vocab_size=3000, embed_dim=64)
    assert trunk.vocab_size == 3000
    assert trunk.get_parameter("token_embedding.weight").std().item() == pytest.approx(0.02, rel=0.05)
    assert trunk.get_parameter("positions").std().item() == pytest.approx(0.01, rel=0.1)
    assert trunk.get_parameter("blocks.0.mlp.up.bias").abs().max() == 0
