"""Drawing texts: from the right tokens, with the right shares, each text by its own seed."""

from __future__ import annotations

import pytest
import torch

from chiasm.ops.writing import Stops, greedy, log_likelihoods, nucleus

LOGITS = torch.tensor([0.5, 2.0, -1.0, 1.0, 0.0, 1.5])


def forgetful(tokens, rows):
    """A model that says the same after every token."""
    del rows
    return LOGITS.expand(len(tokens), -1)


def first_tokens(count: int, **settings) -> torch.Tensor:
    stops = Stops(end=(), max_tokens=1)
    found = nucleus(forgetful, torch.zeros(count, 1, dtype=torch.int64), stops, range(count), **settings)
    return torch.tensor([text[0] for text in found.tokens])


@pytest.mark.parametrize(("top_p", "temperature"), [(1.0, 1.0), (0.8, 1.0), (0.8, 2.0), (0.3, 1.0)])
def test_shares_are_those_of_the_paper(top_p, temperature):
    shares = (LOGITS / temperature).softmax(dim=0)
    kept, total = [], 0.0
    for token in shares.argsort(descending=True).tolist():
        kept.append(token)
        total += shares[token].item()
        if total >= top_p:
            break
    found = first_tokens(4000, top_p=top_p, temperature=temperature)
    assert set(found.tolist()) == set(kept)
    for token in kept:
        wanted = shares[token].item() / total
        assert (found == token).double().mean().item() == pytest.approx(wanted, abs=0.03)


def test_a_text_depends_on_its_own_seed_alone():
    stops, begin = Stops(end=(2,), max_tokens=9), torch.zeros(3, 1, dtype=torch.int64)
    together = nucleus(forgetful, begin, stops, (7, 8, 9))
    alone = [nucleus(forgetful, begin[:1], stops, (seed,)).tokens[0] for seed in (7, 8, 9)]
    assert list(together.tokens) == alone
    assert len(set(alone)) == 3


def test_banned_tokens_never_come_and_the_end_not_before_its_time():
    begin = torch.zeros(1, 1, dtype=torch.int64)
    assert greedy(forgetful, begin, Stops(end=(1,), max_tokens=5)).tokens == ((),)
    late = greedy(forgetful, begin, Stops(end=(1,), max_tokens=5, min_tokens=3))
    assert late.tokens == ((5, 5, 5),)
    assert late.ended == (True,)
    shares = LOGITS.log_softmax(dim=0)
    assert late.log_probs[0] == pytest.approx((3 * shares[5] + shares[1]).item(), rel=1e-6)
    assert greedy(forgetful, begin, Stops(end=(1,), max_tokens=2, banned=(1, 5))).tokens == ((3, 3),)


def test_the_likelihood_of_a_text_is_the_sum_over_its_tokens():
    shares = LOGITS.double().log_softmax(dim=0)
    texts = [(1,), (5, 3, 2), (0, 0)]
    found = log_likelihoods(forgetful, torch.zeros(3, 1, dtype=torch.int64), texts, torch.arange(3))
    wanted = torch.stack([shares[list(text)].sum() for text in texts])
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
