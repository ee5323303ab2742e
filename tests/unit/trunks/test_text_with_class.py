"""The class token of a text: what it sees, what padding does, what may be cut off."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.layers.memory import Memory
from chiasm.models import text_encoder
from chiasm.trunks import text_with_class

SMALL = {"vocab_size": 30, "context_length": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 0, 0, 0], [2, 7, 1, 8, 2, 8, 1, 8], [9, 0, 6, 6, 0, 0, 0, 0]])


def small(*, mask_is_late: bool) -> text_with_class.TextWithClass:
    torch.manual_seed(0)
    trunk = text_with_class.Config.parse({**SMALL, "mask_is_late": mask_is_late}, "a trunk").build().double().eval()
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return trunk


def slow(trunk: text_with_class.TextWithClass, tokens: list[int], late: bool) -> torch.Tensor:
    """Vectors of one whole text and its class token before the norm, by loops over what each place may look at."""
    number_of_places = len(tokens) + 1
    vectors = [trunk.token_embedding.weight[token] + trunk.positions[place] for place, token in enumerate(tokens)]
    states = torch.stack([*vectors, trunk.class_token[0, 0]])
    hidden = {place for place in range(len(tokens)) if tokens[place] == 0}
    hidden = {place + 1 for place in hidden} if late else hidden
    for block in trunk.blocks:
        attention = block.get_submodule("attention")
        joint = attention.get_submodule("query_key_value")(block.get_submodule("attention_norm")(states))
        query, key, value = (part.unflatten(1, (2, 8)) for part in joint.chunk(3, dim=1))
        rows = []
        for place in range(number_of_places):
            there = [other for other in range(place + 1) if other not in hidden]
            shares = [(query[place] * key[other]).sum(dim=1) / 8**0.5 for other in there]
            weights = torch.stack(shares).softmax(dim=0).unsqueeze(2)
            rows.append((weights * value[there]).sum(dim=0).flatten())
        states = states + attention.get_submodule("projection")(torch.stack(rows))
        states = states + block.get_submodule("mlp")(block.get_submodule("mlp_norm")(states)[None])[0]
    return states


@pytest.mark.parametrize("late", [True, False])
def test_each_place_sees_what_the_formula_lets_it_see(late):
    trunk = small(mask_is_late=late)
    found = trunk.together(TOKENS)
    for row, tokens in enumerate(TOKENS.tolist()):
        torch.testing.assert_close(found[row], slow(trunk, tokens, late))
    torch.testing.assert_close(trunk(TOKENS), trunk.norm(found))


@pytest.mark.parametrize("late", [True, False])
def test_padding_may_be_cut_off(late):
    trunk = small(mask_is_late=late)
    whole = trunk(TOKENS[[0, 2]])
    for length in (5, 6, 7):
        cut = trunk(TOKENS[[0, 2], :length])
        torch.testing.assert_close(cut[:, -1], whole[:, -1])
        torch.testing.assert_close(cut[:, :3], whole[:, :3])
    assert trunk.lengths(TOKENS, torch.zeros(3, dtype=torch.int64)).tolist() == [5, 8, 4]


@pytest.mark.parametrize("late", [True, False])
def test_the_text_encoder_takes_the_class_token(late):
    settings = {"trunk": {"family": "text_with_class", **SMALL, "mask_is_late": late}, "pool": {"kind": "class_token"}}
    model = text_encoder.Config.parse(settings, "a text encoder").build().double().eval()
    torch.testing.assert_close(model(TOKENS), model.trunk(TOKENS)[:, -1])
    lengths = model.lengths(TOKENS)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(model(TOKENS[row : row + 1, :length])[0], model(TOKENS)[row])


def test_a_late_mask_shows_the_first_padding_and_hides_what_follows_a_padding_within():
    late, right = small(mask_is_late=True), small(mask_is_late=False)
    with torch.no_grad():
        late.token_embedding.weight[0] += torch.linspace(-1, 1, 16)
        right.token_embedding.weight[0] += torch.linspace(-1, 1, 16)
    first, other = small(mask_is_late=True)(TOKENS)[0, -1], small(mask_is_late=False)(TOKENS)[0, -1]
    assert not torch.allclose(late(TOKENS)[0, -1], first)
    torch.testing.assert_close(right(TOKENS)[0, -1], other)
    assert late.seen(TOKENS)[2].tolist() == [True, True, False, True, True] + [False] * 4
    assert right.seen(TOKENS)[2].tolist() == [True, False, True, True] + [False] * 4 + [True]


@pytest.mark.parametrize("pieces", [(8,), (1,) * 8, (3, 1, 4)])
def test_tokens_in_pieces_are_those_before_the_class_token(pieces):
    trunk, memory, tokens = small(mask_is_late=True), Memory(), TOKENS[1:2]
    found = [trunk.unnormed(piece, memory.after(piece.shape[1])) for piece in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(found, dim=1), trunk.together(tokens)[:, :-1])


def test_too_long_a_text_is_told():
    with pytest.raises(ValueError, match="at most 8 tokens long, but 9 came"):
        small(mask_is_late=True)(torch.ones(1, 9, dtype=torch.int64))
    with pytest.raises(InputError, match="3 does not divide 16"):
        text_with_class.Config.parse({**SMALL, "num_heads": 3}, "a trunk")
