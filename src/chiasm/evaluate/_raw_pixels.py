"""Raw pixels as vectors: the baseline below which a model has learnt nothing."""

from __future__ import annotations

import numpy as np

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings
from chiasm.ops.vectors import unit_rows

_BATCH_SIZE = 256


class RawPixels:
    """An encoder without a model: the middle square of a picture at a small size, flattened.

    Values are -1 to 1 around mid-grey, so that the cosine between two pictures compares their patterns and not only how
    bright they are.

    Args:
        size_px: side of the square.

    Raises:
        InputError: the side is below 1.
    """

    def __init__(self, size_px: int = 16) -> None:
        if size_px < 1:
            raise InputError("a side of at least 1 pixel", f"{size_px} came", "16 is usual")
        self.name = f"raw pixels ({size_px} x {size_px})"
        self.fingerprint = f"raw-pixels-{size_px}"
        self.embed_dim = 3 * size_px * size_px
        self.text = None
        self.own_classes = None
        self._size_px = size_px

    def embed(self, source: Source) -> Embeddings:
        """Vectors of all readable pictures of a source.

        Raises:
            TooManyBrokenError: more than a tenth of the source is broken, or all of it.
        """
        from chiasm.data.pictures import PictureLoader

        loader = PictureLoader(source, self._size_px, _BATCH_SIZE)
        batches = list(loader)
        pixels = [batch.images.flatten(1).numpy().astype(np.float32) / 127.5 - 1 for batch in batches]
        vectors, norms = unit_rows(np.concatenate([np.empty((0, self.embed_dim), np.float32), *pixels]))
        return Embeddings(
            vectors=vectors,
            norms=norms,
            keys=tuple(key for batch in batches for key in batch.keys),
            labels=np.concatenate([np.empty(0, np.int64), *(batch.labels for batch in batches)]),
            classes=source.classes,
            skipped=loader.skipped.entries,
        )
