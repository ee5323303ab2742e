"""Vectors of pictures that were encoded before, found by the pictures' content."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
from jaxtyping import Float, UInt8


class FeatureCache:
    """The most recently used vectors of one model, in memory.

    Args:
        max_vectors: the oldest are dropped beyond this number.
    """

    def __init__(self, max_vectors: int = 200_000) -> None:
        self._max_vectors = max_vectors
        self._vectors: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def digest(picture: UInt8[np.ndarray, "3 H W"]) -> bytes:
        """Identity of a picture's pixels at the model's size."""
        return hashlib.blake2b(picture.tobytes(), digest_size=16).digest()

    def get(self, digest: bytes) -> Float[np.ndarray, " D"] | None:
        """The vector of a picture seen before."""
        with self._lock:
            vector = self._vectors.get(digest)
            if vector is not None:
                self._vectors.move_to_end(digest)
            return vector

    def put(self, digest: bytes, vector: Float[np.ndarray, " D"]) -> None:
        """Remember a vector."""
        with self._lock:
            self._vectors[digest] = vector
            while len(self._vectors) > self._max_vectors:
                self._vectors.popitem(last=False)
