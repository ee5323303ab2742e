"""The language model's trunk: slow formulas of its positions, memory, what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.layers.arrangement import Separate
from chiasm.layers.memory import Memory
from chiasm.layers.text_positions import Alibi, Rotary
from chiasm.trunks import language
from chiasm.trunks.language import LanguageTransformer


def built(**settings) -> LanguageTransformer:
    torch.manual_seed(0)
    small = {"vocab_size": 20, "context_length": 12, "embed_dim": 24, "depth": 2, "num_heads": 3, **settings}
    trunk = language.Config.parse(small, "a test").build().double().eval()
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.normal_(std=0.4)
    return trunk


TOKENS = torch.randint(0, 20, (2, 9), generator=torch.Generator().manual_seed(1))
KINDS = [
    {"positions": {"share": 0.5}},
    {"positions": {"kind": "alibi"}, "parallel": False, "norm_bias": False, "attention_bias": False},
]


@pytest.mark.parametrize("settings", KINDS, ids=["rotary", "alibi"])
@pytest.mark.parametrize("cuts", [(3, 4, 2), (1,) * 9, (8, 1)])
def test_in_pieces_as_at_once(settings, cuts):
    trunk, memory = built(**settings), Memory()
    pieces = [trunk(tokens, memory) for tokens in TOKENS.split(cuts, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), trunk(TOKENS))


@pytest.mark.parametrize("settings", KINDS, ids=["rotary", "alibi"])
def test_only_distances_count(settings):
    """Two tokens far from the start look at each other as at the start: nothing else tells where they are."""
    trunk = built(depth=1, **settings)
    vectors = torch.randn(1, 2, 24, dtype=torch.float64)
    query, key = vectors.view(1, 2, 3, 8).transpose(1, 2), vectors.flip(1).view(1, 2, 3, 8).transpose(1, 2)
    found = []
    for first in (0, 7):
        rotation = trunk.positions.rotation(first, 2, vectors)
        query_there, key_there = (part if rotation is None else rotation.turn(part) for part in (query, key))
        found.append(trunk.positions.look(query_there, key_there, key))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("num_heads", [1, 2, 3, 6, 8, 12])
def test_biases_are_those_of_the_formula(num_heads):
    query, key, value = torch.randn(3, 2, num_heads, 5, 4, dtype=torch.float64)
    found = Alibi(max_bias=6).build(4 * num_heads, num_heads).look(query, key, value)
    power = 2 ** math.ceil(math.log2(num_heads))
    every = [2 ** (-6 * (head + 1) / power) for head in range(power)]
    slopes = every if power == num_heads else (every[1::2] + every[0::2])[:num_heads]
    for head, slope in enumerate(slopes):
        for place in range(5):
            scores = [
                (query[0, head, place] @ key[0, head, other] / 2 - slope * (place - other)).item()
                for other in range(place + 1)
            ]
            shares = torch.tensor(scores, dtype=torch.float64).softmax(0)
            torch.testing.assert_close(found[0, head, place], shares @ value[0, head, : place + 1])


def test_tokens_that_are_hidden_are_not_looked_at():
    query, key, value = torch.randn(3, 1, 2, 5, 4, dtype=torch.float64)
    look = Alibi().build(8, 2).look
    seen = torch.tensor([True, False, True, True, True]).view(1, 1, 1, 5)
    before, changed = look(query, key, value, seen), value.clone()
    changed[:, :, 1] += 1
    torch.testing.assert_close(look(query, key, changed, seen), before)
    assert not torch.allclose(look(query, key, changed), look(query, key, value))


def test_angles_are_those_of_the_formula():
    rotation = Rotary(share=0.5, theta=100.0).build(16, 2).rotation(3, 2, torch.zeros(1, dtype=torch.float64))
    for row, place in enumerate((3, 4)):
        angles = [place * 100.0 ** (-2 * pair / 4) for pair in range(2)] + [0.0, 0.0]
        wanted = torch.tensor(angles + angles, dtype=torch.float64)
        torch.testing.assert_close(rotation.cos[0, 0, row], wanted.cos())
        torch.testing.assert_close(rotation.sin[0, 0, row], wanted.sin())


def test_what_vectors_pass_before_blocks():
    trunk = built()
    passed = [lambda vectors: vectors + 1, lambda vectors: 2 * vectors]
    vectors = trunk.token_embedding(TOKENS) + 1
    blocks = list(trunk.blocks)
    arrangement = Separate(trunk.positions.rotation(0, 9, vectors))
    wanted = trunk.norm(blocks[1](2 * blocks[0](vectors, arrangement), arrangement))
    torch.testing.assert_close(trunk(TOKENS, before=passed), wanted)


def test_what_does_not_fit_is_told():
    with pytest.raises(InputError, match="5 does not divide 24"):
        language.Config(embed_dim=24, num_heads=5)
    with pytest.raises(InputError, match="3 of it would be turned"):
        built(positions={"share": 0.4})
    with pytest.raises(ValueError, match="at most 12 tokens"):
        built()(torch.zeros(1, 13, dtype=torch.int64))
