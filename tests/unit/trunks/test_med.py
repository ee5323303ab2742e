"""MED: a text alone, with a picture, and as it is written, by one set of parts."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.layers.memory import Memory
from chiasm.trunks import med

TOKENS = torch.tensor([[4, 5, 6, 7, 8, 9], [4, 3, 2, 0, 0, 0], [4, 11, 12, 13, 0, 0]])
LENGTHS = (6, 3, 4)


def trunk(looks_back: bool = False) -> med.Med:
    torch.manual_seed(0)
    settings = med.Settings(vocab_size=17, context_length=8, embed_dim=8, depth=2, num_heads=2)
    made = settings.trunk(6, looks_back=looks_back).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.7)
    return made


def pictures(length: int = 5) -> torch.Tensor:
    return torch.randn(3, length, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("with_pictures", [False, True])
@pytest.mark.parametrize("looks_back", [False, True])
def test_texts_in_a_batch_are_read_as_alone(looks_back, with_pictures):
    model = trunk(looks_back)
    shown = model.show(pictures()) if with_pictures else ()
    together = model(TOKENS, shown)
    for row, length in enumerate(LENGTHS):
        one = torch.tensor([row])
        alone = model(TOKENS[one, :length], tuple(each.of(one) for each in shown))
        torch.testing.assert_close(together[one, :length], alone)
    places = torch.zeros(3, dtype=torch.int64)
    assert model.lengths(TOKENS, places).tolist() == ([1, 1, 1] if looks_back else list(LENGTHS))


def test_what_is_looked_at_may_be_padded():
    model, shown = trunk(), pictures()
    real = torch.arange(5) < torch.tensor([[5], [2], [3]])
    found = model(TOKENS, model.show(shown, real))
    for row, length in enumerate((5, 2, 3)):
        one = slice(row, row + 1)
        torch.testing.assert_close(found[one], model(TOKENS[one], model.show(shown[one, :length])))
    assert not torch.allclose(found[1], model(TOKENS, model.show(shown))[1])


def test_text_picture_and_what_stands_behind_change_what_they_should():
    shown = pictures()
    for looks_back in (False, True):
        model = trunk(looks_back)
        plain = model(TOKENS, model.show(shown))
        assert not torch.allclose(model(TOKENS), plain)
        assert not torch.allclose(model(TOKENS, model.show(shown.flip(0)))[0], plain[0])
        later = TOKENS.clone()
        later[0, 4] = 15
        changed = model(later, model.show(shown))
        assert torch.allclose(changed[0, :4], plain[0, :4]) == looks_back
        assert not torch.allclose(changed[0, 4:], plain[0, 4:])


def test_a_text_in_pieces_is_the_text_at_once():
    model, memory = trunk(looks_back=True), Memory()
    shown = model.show(pictures())
    parts = [model(piece, shown, memory.after(piece.shape[1])) for piece in TOKENS.split((2, 1, 3), dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(TOKENS, shown))
    with pytest.raises(ValueError, match="at most 8 tokens long, but 9 came"):
        model(TOKENS[:, :3], shown, memory.after(3))


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="3 does not divide 8"):
        med.Settings(embed_dim=8, num_heads=3)
