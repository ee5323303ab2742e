"""Writing against transformers' `generate`, the same model asked in both ways."""

from __future__ import annotations

import itertools

import pytest
import torch

from chiasm.ops.writing import Step, Stops, beams, greedy

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def model():
    """A language model in which every parameter is random, so that texts differ and end."""
    config = transformers.GPT2Config(
        vocab_size=23,
        n_positions=40,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    found = transformers.GPT2LMHeadModel(config).double().eval()
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.6)
        # Texts that repeat one token would prove little: places and tokens say more than the layers.
        found.transformer.wpe.weight.mul_(5)
        found.transformer.wte.weight.mul_(5)
    return found


END = (1, 14, 6)
BEGINNINGS = torch.tensor([[5, 7, 9], [3, 3, 4], [20, 21, 22], [8, 0, 11], [12, 14, 2], [6, 19, 10]])


def whole_texts(model, beginnings: torch.Tensor) -> Step:
    """Asks the model for everything anew at each step."""
    texts = torch.zeros(len(beginnings), 0, dtype=torch.int64)

    def step(tokens, rows):
        nonlocal texts
        texts = torch.cat([texts if rows is None else texts[rows], tokens], dim=1)
        return model(texts).logits[:, -1]

    return step


def theirs(model, **settings) -> list[list[int]]:
    """Tokens that transformers writes, up to the end token."""
    rows = model.generate(
        BEGINNINGS, attention_mask=torch.ones_like(BEGINNINGS), do_sample=False, eos_token_id=list(END), **settings
    )
    return [
        list(itertools.takewhile(lambda token: token not in END, row))
        for row in rows[:, BEGINNINGS.shape[1] :].tolist()
    ]


@pytest.mark.parametrize(("most", "least"), [(1, 0), (12, 0), (20, 6)])
def test_greedy_is_that_of_transformers(model, most, least):
    found = greedy(whole_texts(model, BEGINNINGS), BEGINNINGS, Stops(end=END, max_tokens=most, min_tokens=least))
    assert [list(text) for text in found.tokens] == theirs(model, max_new_tokens=most, min_new_tokens=least)


@pytest.mark.parametrize("num_beams", [1, 2, 3, 6])
@pytest.mark.parametrize("penalty", [-1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize(("most", "least"), [(4, 0), (16, 0), (16, 5)])
def test_beams_are_those_of_transformers(model, num_beams, penalty, most, least):
    of_beams = {"num_beams": num_beams, "length_penalty": penalty} if num_beams > 1 else {}
    wanted = theirs(model, max_new_tokens=most, min_new_tokens=least, **of_beams)
    stops = Stops(end=END, max_tokens=most, min_tokens=least)
    found = beams(whole_texts(model, BEGINNINGS), BEGINNINGS, stops, num_beams, penalty)
    assert [list(text) for text in found.tokens] == wanted


def test_the_texts_compared_differ(model):
    """Else equality would say little: some end early, and beams find others than the greedy ones."""
    stops = Stops(end=END, max_tokens=16)
    one = greedy(whole_texts(model, BEGINNINGS), BEGINNINGS, stops)
    other = beams(whole_texts(model, BEGINNINGS), BEGINNINGS, stops, 3)
    assert one.tokens != other.tokens
    assert len(set(other.tokens)) > 3
    assert any(other.ended)
    assert not all(one.ended)
