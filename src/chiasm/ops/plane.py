"""Vectors in two dimensions: what is near in many dimensions as near as it can be in two.

Paper: Pearson, 1901 (principal components); van der Maaten and Hinton, 2008, "Visualizing Data using t-SNE"; McInnes et
    al., 2018, "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction" (arXiv 1802.03426); Gower,
    1975, "Generalized Procrustes Analysis" (turning one map onto another).
Differs: a map that is turned onto another is made as large as that one; the scale of the least distance would shrink
    a map that has little in common with it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Literal

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import MissingExtraError

PlaneMethod = Literal["pca", "tsne", "umap"]
"""How vectors are laid out: a straight projection, or maps of neighbourhoods, whose distances mean little."""

FEWEST = 4
"""Vectors below which there is nothing to lay out."""
_PERPLEXITY = 30.0
_NEIGHBOURS = 15


def plane(vectors: Float[np.ndarray, "S D"], method: PlaneMethod, seed: int) -> Float[np.ndarray, "S 2"]:
    """Places of vectors of length 1 on a map; the same input gives the same map.

    Args:
        vectors: at least `FEWEST`.
        method: how.
        seed: of the methods that draw; without effect on `pca`.

    Raises:
        MissingExtraError: the library behind `umap` is not installed.
    """
    return _METHODS[method](vectors.astype(np.float64), seed)


def turned_onto(
    points: Float[np.ndarray, "S 2"], onto: Float[np.ndarray, "S 2"]
) -> tuple[Float[np.ndarray, "S 2"], float]:
    """One map moved, turned, mirrored and scaled as a whole onto another.

    Args:
        points: to be moved.
        onto: where they belong, in the same order.

    Returns:
        The moved points, as far spread as those of `onto`, and how much is left between the two: 1 minus the squared
        correlation of Procrustes, 0 for the same map, 1 for maps that have nothing in common.
    """
    middle, target = points - points.mean(axis=0), onto - onto.mean(axis=0)
    left, sizes, right = np.linalg.svd(middle.T @ target)
    spread, wanted = float(np.linalg.norm(middle)), float(np.linalg.norm(target))
    moved = wanted / max(spread, 1e-300) * middle @ left @ right
    correlation = float(sizes.sum()) / max(spread * wanted, 1e-300)
    return moved + onto.mean(axis=0), 1 - correlation**2


def _pca(vectors: Float[np.ndarray, "S D"], seed: int) -> Float[np.ndarray, "S 2"]:
    del seed
    middle = vectors - vectors.mean(axis=0)
    left, sizes, axes = np.linalg.svd(middle, full_matrices=False)
    # The sign of an axis is arbitrary; its largest number is made positive.
    largest = np.abs(axes[:2]).argmax(axis=1)
    places = left[:, :2] * sizes[:2] * np.sign(axes[np.arange(len(largest)), largest])
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1])))


def _tsne(vectors: Float[np.ndarray, "S D"], seed: int) -> Float[np.ndarray, "S 2"]:
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    # Vectors are of length 1: squared distances order pairs as cosines do.
    found = TSNE(init="pca", perplexity=perplexity, random_state=seed % 2**32).fit_transform(vectors.astype(np.float32))
    return found.astype(np.float64)


def _umap(vectors: Float[np.ndarray, "S D"], seed: int) -> Float[np.ndarray, "S 2"]:
    try:
        # By name, since the types are checked without this extra.
        library = import_module("umap")
    except ModuleNotFoundError:
        raise MissingExtraError("umap-learn", "umap") from None
    neighbours = min(_NEIGHBOURS, len(vectors) - 1)
    # One thread, without which the seed does not fix the map.
    reducer = library.UMAP(n_neighbors=neighbours, init="pca", metric="cosine", random_state=seed % 2**32, n_jobs=1)
    return np.asarray(reducer.fit_transform(vectors.astype(np.float32)), dtype=np.float64)


_METHODS: dict[str, Callable[[Float[np.ndarray, "S D"], int], Float[np.ndarray, "S 2"]]] = {
    "pca": _pca,
    "tsne": _tsne,
    "umap": _umap,
}
