"""The on-line k-NN: how well the trunk tells labelled pictures apart while it learns.

The pictures are decoded once and kept; a look costs one pass of the trunk over them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Splits, Subset
from chiasm.core.protocols import Trunk
from chiasm.core.seeds import stream
from chiasm.data.among import digests_of
from chiasm.data.pictures import PictureLoader
from chiasm.data.skipped import Skipped
from chiasm.heads import pool
from chiasm.ops.similarity import knn_classify

MAX_GALLERY = 2000
MAX_QUERIES = 1000
MAX_COMPARED = 20_000
MAX_BYTES = 512_000_000
"""Pictures that are kept in memory; fewer of them when they are large."""
MAX_BROKEN = 0.5
"""Share of the pictures that may be unreadable."""
BATCH_SIZE = 256


class OnlineKnn:
    """k-NN accuracy on labelled pictures, weighted votes of 20 neighbours as in DINO (arXiv:2104.14294).

    Args:
        splits: gallery and queries.
        pooling: how tokens become the vectors that are compared. In the place of a way that learns, which the trunk
            alone does not bring along, stands the class token, or the mean where there is none.
        image_size: of the trunk.
        seed: chooses which pictures are used when there are many.

    Raises:
        InputError: no readable picture of either split has a class.
    """

    def __init__(self, splits: Splits, pooling: pool.Config, image_size: int, seed: int) -> None:
        self._pooling = pooling
        self._num_classes = len(splits.train.classes)
        room = MAX_BYTES // (3 * image_size**2)
        gallery = min(MAX_GALLERY, room * 4 // 5)
        queries = min(MAX_QUERIES, room // 5)
        self._gallery = _read(_some(splits.train, gallery, seed), image_size)
        self._queries = _read(_some(splits.test, queries, seed), image_size)

    def __call__(self, trunk: Trunk) -> Mapping[str, float]:
        """The accuracy of a trunk now."""
        gallery, gallery_labels = self._embed(trunk, *self._gallery)
        queries, labels = self._embed(trunk, *self._queries)
        num_neighbours = min(20, gallery.shape[0])
        votes = knn_classify(queries, gallery, gallery_labels, self._num_classes, num_neighbours)
        return {"knn_accuracy": float((votes.argmax(dim=1) == labels).float().mean())}

    def _embed(
        self, trunk: Trunk, images: UInt8[Tensor, "B 3 H W"], labels: Int64[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B D"], Int64[Tensor, " B"]]:
        device = next(trunk.parameters()).device
        pooling = self._pooling.build(trunk.embed_dim)
        if any(True for _ in pooling.parameters()):
            pooling = pool.Config(by=pool.ByClassOrMean()).build(trunk.embed_dim)
        parts = [pooling(trunk(trunk.normalize(part.to(device)))).float() for part in images.split(BATCH_SIZE)]
        return torch.cat(parts), labels.to(device)


def labelled_splits(data: Source, seed: int) -> Splits | None:
    """Gallery and queries cut from the training data itself, where that has labels; None where it has not.

    The trunk sees these pictures while it learns, but never their labels; the figure is for watching, not for reports.
    """
    if len(data.classes) < 2 or len(data) < 2 * len(data.classes):
        return None
    order = stream(seed, "probe").permutation(len(data))
    cut = max(1, len(data) // 5)
    queries, gallery = order[:cut].tolist(), order[cut:].tolist()
    return Splits(Subset(data, gallery, f"{data.name} (gallery)"), Subset(data, queries, f"{data.name} (queries)"))


def shared_pictures(probe: Splits, data: Source, seed: int) -> str | None:
    """A note where test pictures of a probe are also trained on, told by the content of their files.

    Learning without labels from a picture makes its vector better than a new picture's would be. At most `MAX_COMPARED`
    pictures of each source are compared, so that a large one need not be read through: of a leak, a part shows.

    Returns:
        The note, None where none was found.
    """
    queries, compared = (_some(source, MAX_COMPARED, seed) for source in (probe.test, data))
    tested = digests_of(queries)
    shared = tested & digests_of(compared)
    if not shared:
        return None
    part = "" if len(compared) == len(data) else f", of {len(compared)} of {len(data)} compared"
    return (
        f"{len(shared)} of {len(tested)} test pictures of the probe are among the training pictures{part}: its figures "
        "are better than they would be on new pictures"
    )


def _some(source: Source, most: int, seed: int) -> Source:
    if len(source) <= most:
        return source
    chosen = np.sort(stream(seed, "probe subset", source.name).permutation(len(source))[:most])
    return Subset(source, chosen.tolist(), source.name)


def _read(source: Source, image_size: int) -> tuple[UInt8[Tensor, "B 3 H W"], Int64[Tensor, " B"]]:
    # Few pictures: one that is broken may be more than a tenth. What is trained on has a stricter ledger of its own.
    batches = list(PictureLoader(source, image_size, BATCH_SIZE, Skipped(max_share=MAX_BROKEN)))
    if not any((batch.labels >= 0).any() for batch in batches):
        raise InputError("pictures with classes to probe with", f"{source.name} has none", "leave out --probe")
    images = torch.cat([batch.images for batch in batches])
    labels = torch.cat([torch.as_tensor(batch.labels) for batch in batches])
    known = labels >= 0
    return images[known], labels[known]
