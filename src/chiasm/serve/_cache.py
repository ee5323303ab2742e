"""Vectors of what was encoded before, found by its content."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from jaxtyping import Float

MAX_BYTES = 256 << 20
_ENTRY_BYTES = 300
"""What Python keeps beside the numbers of a vector: an array, a key, a place in the table."""


class FeatureCache:
    """The most recently used vectors of one loaded model, in memory.

    Args:
        max_bytes: the ones that were not used for longest are dropped beyond this much memory. 256 MiB hold 113,000
            vectors of 512 numbers.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._vectors: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Float[np.ndarray, " D"] | None:
        """The vector of a picture or text that was seen before.

        Args:
            digest: identity of its content.
        """
        with self._lock:
            vector = self._vectors.get(digest)
            if vector is not None:
                self._vectors.move_to_end(digest)
            return vector

    def put(self, digest: bytes, vector: Float[np.ndarray, " D"]) -> None:
        """Remember a vector."""
        # A copy, since a row would keep the whole batch in memory that it belongs to.
        own = vector.copy()
        with self._lock:
            before = self._vectors.pop(digest, None)
            self._num_bytes += _size(digest, own) - (0 if before is None else _size(digest, before))
            self._vectors[digest] = own
            while self._num_bytes > self._max_bytes and self._vectors:
                self._num_bytes -= _size(*self._vectors.popitem(last=False))


def _size(digest: bytes, vector: Float[np.ndarray, " D"]) -> int:
    return len(digest) + vector.nbytes + _ENTRY_BYTES
