"""Neighbours by cosine: order, blocks, exclusion, extremes."""

from __future__ import annotations

import pytest
import torch

from chiasm.ops import similarity
from chiasm.ops.similarity import knn_classify, nearest_rows


def random_rows(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_neighbours_are_those_of_the_full_matrix_whatever_the_block(monkeypatch) -> None:
    monkeypatch.setattr(similarity, "_GALLERY_ROWS", 13)
    queries, gallery = random_rows(9, 8, 0), random_rows(50, 8, 1)
    cosines, rows = nearest_rows(queries, gallery, 10)
    full = torch.nn.functional.cosine_similarity(queries[:, None], gallery[None], dim=2)
    expected = full.sort(dim=1, descending=True)
    assert torch.equal(rows, expected.indices[:, :10])
    torch.testing.assert_close(cosines, expected.values[:, :10])


def test_a_query_within_the_gallery_does_not_find_itself() -> None:
    gallery = random_rows(20, 4, 0)
    own = torch.arange(20)
    _, with_itself = nearest_rows(gallery, gallery, 1)
    _, without = nearest_rows(gallery, gallery, 1, own)
    assert torch.equal(with_itself[:, 0], own)
    assert (without[:, 0] != own).all()


def test_random_labels_are_not_learnt_by_leave_one_out() -> None:
    gallery = random_rows(300, 16, 0)
    labels = torch.randint(2, (300,), generator=torch.Generator().manual_seed(5))
    leaking = knn_classify(gallery, gallery, labels, 2, 1).argmax(1)
    honest = knn_classify(gallery, gallery, labels, 2, 1, own_rows=torch.arange(300)).argmax(1)
    assert (leaking == labels).all()
    assert 0.4 < (honest == labels).float().mean() < 0.6


def test_more_neighbours_than_rows_takes_all_rows() -> None:
    votes = knn_classify(random_rows(3, 4, 0), random_rows(5, 4, 1), torch.tensor([0, 0, 1, 1, 1]), 3, 50, 1e6)
    torch.testing.assert_close(votes, torch.tensor([[0.4, 0.6, 0.0]]).expand(3, 3), atol=1e-4, rtol=0)


def test_small_temperature_stays_finite() -> None:
    votes = knn_classify(random_rows(3, 4, 0), random_rows(9, 4, 1), torch.arange(9) % 3, 3, 9, 1e-4)
    torch.testing.assert_close(votes.sum(1), torch.ones(3))


def test_no_neighbour_left_means_no_votes() -> None:
    only = torch.ones(1, 4)
    votes = knn_classify(only, only, torch.tensor([0]), 2, 5, own_rows=torch.tensor([0]))
    assert torch.equal(votes, torch.zeros(1, 2))


def test_length_of_vectors_does_not_matter() -> None:
    queries, gallery, labels = random_rows(6, 4, 0), random_rows(30, 4, 1), torch.arange(30) % 3
    stretched = gallery * torch.linspace(0.1, 9, 30)[:, None]
    torch.testing.assert_close(
        knn_classify(queries, gallery, labels, 3, 5), knn_classify(7 * queries, stretched, labels, 3, 5)
    )


def test_no_query_gives_no_rows() -> None:
    assert knn_classify(torch.empty(0, 4), torch.ones(2, 4), torch.tensor([0, 1]), 2).shape == (0, 2)


@pytest.mark.parametrize(("k", "rows", "temperature"), [(0, 3, 0.1), (1, 0, 0.1), (1, 3, 0.0), (1, 3, float("nan"))])
def test_wrong_settings_are_refused(k: int, rows: int, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"neighbours need|temperature"):
        knn_classify(torch.ones(1, 2), torch.ones(rows, 2), torch.zeros(rows, dtype=torch.long), 1, k, temperature)
