"""The writer: token by token as at once, beams as rows, and nothing from behind."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.heads import writer
from chiasm.ops.writing import Stops, beams, greedy


@pytest.fixture
def made() -> writer.Writer:
    torch.manual_seed(0)
    head = writer.Config(vocab_size=17, context_length=10, embed_dim=8, depth=2, num_heads=2).build(6).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.5)
    return head


def pictures(count: int = 3) -> Features:
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randn(count, 5, 6, dtype=torch.float64, generator=generator)
    return Features(tokens[:, :1], tokens[:, 1:], (2, 2), 1)


def texts(length: int) -> torch.Tensor:
    return torch.randint(0, 17, (3, length), generator=torch.Generator().manual_seed(1))


def test_token_by_token_gives_the_logits_of_the_whole(made):
    tokens, step = texts(7), made.begin(pictures())
    whole = made(pictures(), tokens)
    torch.testing.assert_close(step(tokens[:, :3], None), whole[:, 2])
    for place in range(3, 7):
        torch.testing.assert_close(step(tokens[:, place : place + 1], None), whole[:, place])


def test_rows_choose_pictures_first_and_texts_later(made):
    tokens, rows, step = texts(4), torch.tensor([0, 0, 2]), made.begin(pictures())
    features = pictures()
    chosen = Features(features.prefix[rows], features.patches[rows], (2, 2), 1)
    torch.testing.assert_close(step(tokens[:, :2], rows), made(chosen, tokens[:, :2])[:, -1])
    again = torch.tensor([2, 1, 2])
    text = torch.cat([tokens[again, :2], tokens[:, 2:3]], dim=1)
    both = Features(chosen.prefix[again], chosen.patches[again], (2, 2), 1)
    torch.testing.assert_close(step(tokens[:, 2:3], again), made(both, text)[:, -1])


def test_no_token_depends_on_later_ones_and_all_on_picture_and_text(made):
    tokens = texts(6)
    whole = made(pictures(), tokens)
    changed = tokens.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 17
    other = made(pictures(), changed)
    torch.testing.assert_close(other[:, :4], whole[:, :4])
    assert not torch.allclose(other[:, 4:], whole[:, 4:])
    features = pictures()
    for part in (Features(features.prefix + 1, features.patches, (2, 2), 1),
                 Features(features.prefix, features.patches + 1, (2, 2), 1)):  # fmt: skip
        assert not torch.allclose(made(part, tokens), whole)


@pytest.mark.parametrize("how", [greedy, beams])
def test_a_batch_writes_what_each_picture_alone_would(made, how):
    stops, begin, features = Stops(end=(1,), max_tokens=8), torch.zeros(3, 1, dtype=torch.int64), pictures()
    together = how(made.begin(features), begin, stops)
    for row in range(3):
        one = Features(features.prefix[row : row + 1], features.patches[row : row + 1], (2, 2), 1)
        alone = how(made.begin(one), begin[:1], stops)
        assert together.tokens[row] == alone.tokens[0]
        assert together.log_probs[row] == pytest.approx(alone.log_probs[0])


def test_log_probabilities_are_those_of_the_text(made):
    stops, begin = Stops(end=(1,), max_tokens=8), torch.zeros(3, 1, dtype=torch.int64)
    for found in (greedy(made.begin(pictures()), begin, stops), beams(made.begin(pictures()), begin, stops, 3, 1.0)):
        for row, text in enumerate(found.tokens):
            tokens = torch.tensor([[0, *text, *([1] if found.ended[row] else [])]])
            features = pictures()
            one = Features(features.prefix[row : row + 1], features.patches[row : row + 1], (2, 2), 1)
            shares = made(one, tokens[:, :-1]).log_softmax(dim=2)[0]
            summed = shares.gather(1, tokens[0, 1:, None]).sum().item()
            assert found.log_probs[row] == pytest.approx(summed, rel=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="3 does not divide 8"):
        writer.Config(embed_dim=8, num_heads=3)
