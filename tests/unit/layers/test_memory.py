"""Texts that are padded or written token by token have the vectors of whole texts."""

from __future__ import annotations

import pytest
import torch

from chiasm.layers.memory import Memory, Padded
from chiasm.trunks import text


def trunk(looks_back: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    made = text.Config(vocab_size=19, context_length=12, embed_dim=8, depth=2, num_heads=2, looks_back=looks_back)
    return made.build().double().eval()


def texts(length: int) -> torch.Tensor:
    return torch.randint(0, 19, (3, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("looks_back", [True, False])
def test_padding_at_the_end_changes_no_real_token(looks_back):
    model, tokens = trunk(looks_back), texts(9)
    real = torch.arange(9) < torch.tensor([[9], [4], [6]])
    padded = model(tokens, Padded(real))
    for row, length in enumerate((9, 4, 6)):
        torch.testing.assert_close(padded[row, :length], model(tokens[row : row + 1, :length])[0])
    assert not torch.allclose(padded, model(tokens)) or looks_back


@pytest.mark.parametrize("pieces", [(9,), (1,) * 9, (4, 5), (3, 1, 1, 4)])
def test_a_text_in_pieces_is_the_text_at_once(pieces):
    model, tokens, memory = trunk(True), texts(9), Memory()
    found = [model(piece, memory.after(piece.shape[1])) for piece in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(found, dim=1), model(tokens))
    assert memory.length == 9


def test_padding_is_remembered():
    model, tokens, memory = trunk(True), texts(6), Memory()
    real = torch.tensor([[True, True, True, True], [True, True, True, False], [True, True, False, False]])
    model(tokens[:, :4], memory.after(4, real))
    new = model(tokens[:, 4:], memory.after(2))
    whole = model(tokens, Padded(torch.cat([real, torch.ones(3, 2, dtype=torch.bool)], dim=1)))
    torch.testing.assert_close(new, whole[:, 4:])


def test_texts_can_be_chosen_and_repeated():
    model, tokens, memory = trunk(True), texts(6), Memory()
    model(tokens[:, :4], memory.after(4))
    rows = torch.tensor([2, 0, 0, 1])
    memory.choose(rows)
    new = model(tokens[rows, 4:], memory.after(2))
    torch.testing.assert_close(new, model(tokens[rows])[:, 4:])


def test_too_many_tokens_are_refused_also_in_pieces():
    model, memory = trunk(True), Memory()
    model(texts(10), memory.after(10))
    with pytest.raises(ValueError, match="at most 12 tokens long, but 13 came"):
        model(texts(3), memory.after(3))
