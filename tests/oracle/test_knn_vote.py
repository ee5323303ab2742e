"""The weighted k-NN vote against the formula of the paper, written as loops over numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chiasm.ops import similarity
from chiasm.ops.similarity import knn_classify


def slow_votes(queries, gallery, labels, num_classes: int, k: int, temperature: float, own=None) -> list[list[float]]:
    """One query, one neighbour at a time, in double precision."""
    answers = []
    for number, query in enumerate(queries):
        scored = []
        for row, candidate in enumerate(gallery):
            if own is not None and own[number] == row:
                continue
            dot = sum(a * b for a, b in zip(query, candidate, strict=True))
            length = math.sqrt(sum(a * a for a in query)) * math.sqrt(sum(b * b for b in candidate))
            scored.append((dot / length, labels[row]))
        scored.sort(reverse=True)
        votes = [0.0] * num_classes
        for cosine, label in scored[:k]:
            votes[label] += math.exp(cosine / temperature)
        answers.append([vote / sum(votes) for vote in votes])
    return answers


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.5), (200, 0.07)])
@pytest.mark.parametrize("block", [7, 8192])
def test_votes_agree_with_the_formula(monkeypatch, k: int, temperature: float, block: int) -> None:
    monkeypatch.setattr(similarity, "_GALLERY_ROWS", block)
    monkeypatch.setattr(similarity, "_QUERY_ROWS", block)
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(11, 6, generator=generator)
    gallery = 3 * torch.randn(40, 6, generator=generator)
    labels = torch.randint(4, (40,), generator=generator)
    votes = knn_classify(queries, gallery, labels, 4, k, temperature)
    slow = slow_votes(queries.tolist(), gallery.tolist(), labels.tolist(), 4, k, temperature)
    np.testing.assert_allclose(votes.numpy(), slow, atol=2e-5)


@pytest.mark.parametrize("block", [7, 8192])
def test_leave_one_out_agrees_with_the_formula(monkeypatch, block: int) -> None:
    monkeypatch.setattr(similarity, "_GALLERY_ROWS", block)
    gallery = torch.randn(30, 5, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(30) % 3
    own = torch.arange(30)
    votes = knn_classify(gallery, gallery, labels, 3, 4, own_rows=own)
    slow = slow_votes(gallery.tolist(), gallery.tolist(), labels.tolist(), 3, 4, 0.07, own.tolist())
    np.testing.assert_allclose(votes.numpy(), slow, atol=2e-5)
