"""Cosine neighbours and the weighted vote among them: the k-NN classifier of frozen features.

Paper: Caron et al., 2021, "Emerging Properties in Self-Supervised Vision Transformers" (arXiv 2104.14294), appendix
    F.1: each of the k nearest neighbours votes for its class with the weight exp(cosine / temperature); the vote
    itself is from Wu et al., 2018 (arXiv 1805.01978), section 3.4.
Differs: votes are divided by their sum, so that a small temperature cannot overflow; the order of classes is the same.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

# Rows of the gallery that are compared at once: 2,048 queries x 8,192 rows of float32 are 64 MiB.
_QUERY_ROWS = 2048
_GALLERY_ROWS = 8192


def nearest_rows(
    queries: Float[Tensor, "B D"],
    gallery: Float[Tensor, "R D"],
    k: int,
    own_rows: Int[Tensor, " B"] | None = None,
) -> tuple[Float[Tensor, "B _"], Int[Tensor, "B _"]]:
    """The k rows of the gallery closest to each query in angle.

    Memory stays bounded however long the gallery is: similarities are never held all at once.

    Args:
        queries: vectors of any length; they are normalised here.
        gallery: vectors of any length; they are normalised here.
        k: neighbours asked for; min(k, R) columns are returned.
        own_rows: the row at which each query itself stands in the gallery (-1: it does not), which is left out.
            Without it a query that is part of the gallery finds itself first.

    Returns:
        Cosines, falling, and the gallery rows they belong to. Where fewer than k rows are left, the cosine is -inf.

    Raises:
        ValueError: k is below 1 or the gallery is empty.
    """
    if k < 1 or len(gallery) == 0:
        raise ValueError(f"neighbours need k >= 1 and a gallery, but k is {k} and the gallery has {len(gallery)} rows")
    unit_queries = functional.normalize(queries, dim=1)
    unit_gallery = functional.normalize(gallery, dim=1)
    if own_rows is None:
        own_rows = torch.full((len(queries),), -1, device=queries.device)
    parts = [
        _nearest_block(rows, unit_gallery, min(k, len(gallery)), own)
        for rows, own in zip(unit_queries.split(_QUERY_ROWS), own_rows.split(_QUERY_ROWS), strict=True)
    ]
    return torch.cat([cosines for cosines, _ in parts]), torch.cat([rows for _, rows in parts])


def knn_classify(
    queries: Float[Tensor, "B D"],
    gallery: Float[Tensor, "R D"],
    gallery_labels: Int[Tensor, " R"],
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
    own_rows: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, "B K"]:
    """Share of the weighted votes that each class gets from the k nearest rows of the gallery.

    Args:
        queries: vectors of any length.
        gallery: vectors with a known class.
        gallery_labels: class of each row, 0 to num_classes - 1.
        num_classes: K.
        k: neighbours that vote; all rows when the gallery has fewer.
        temperature: of the weights exp(cosine / temperature), above 0; large values make the votes equal.
        own_rows: see `nearest_rows`; needed whenever queries are part of the gallery.

    Returns:
        Rows sum to 1; a row is all zero when no neighbour is left to vote.

    Raises:
        ValueError: k is below 1, the temperature is not above 0 or the gallery is empty.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature of the vote must be above 0, but is {temperature}")
    cosines, rows = nearest_rows(queries, gallery, k, own_rows)
    # Measured from the nearest one: exp(1 / 0.01) would not fit into float32.
    weights = torch.exp((cosines - cosines[:, :1].clamp(min=-1)) / temperature)
    votes = weights.new_zeros(len(queries), num_classes)
    votes.scatter_add_(1, gallery_labels[rows].long(), weights)
    return votes / votes.sum(dim=1, keepdim=True).clamp(min=torch.finfo(votes.dtype).tiny)


def _nearest_block(
    queries: Float[Tensor, "B D"], gallery: Float[Tensor, "R D"], k: int, own_rows: Int[Tensor, " B"]
) -> tuple[Float[Tensor, "B _"], Int[Tensor, "B _"]]:
    """`nearest_rows` for few enough queries: runs over the gallery and keeps the best k so far."""
    best = queries.new_full((len(queries), 0), -torch.inf)
    best_rows = torch.zeros((len(queries), 0), dtype=torch.long, device=queries.device)
    for start in range(0, len(gallery), _GALLERY_ROWS):
        cosines = queries @ gallery[start : start + _GALLERY_ROWS].T
        own = (own_rows >= start) & (own_rows < start + cosines.shape[1])
        cosines[own, own_rows[own] - start] = -torch.inf
        block, columns = cosines.topk(min(k, cosines.shape[1]), dim=1)
        merged = torch.cat([best, block], dim=1)
        merged_rows = torch.cat([best_rows, columns + start], dim=1)
        best, order = merged.topk(min(k, merged.shape[1]), dim=1)
        best_rows = merged_rows.gather(1, order)
    return best, best_rows
