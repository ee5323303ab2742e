"""What a model that writes has seen of pictures, kept for whatever is asked about them next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from chiasm.models._writing import Writing

MAX_PICTURES = 256
"""Pictures whose tokens are kept: 256 of 577 tokens of 768 numbers are 450 MB."""


class Sight:
    """The most recently seen pictures of one model, batch by batch.

    The same pictures in the same order come whenever a source is asked about again, so batches are kept as they are.

    Args:
        writing: the side of the model that sees.
        device: where it computes.
        max_pictures: batches that were not asked for longest are dropped beyond so many.
    """

    def __init__(self, writing: Writing[Any], device: torch.device, max_pictures: int = MAX_PICTURES) -> None:
        self._writing = writing
        self._device = device
        self._max_pictures = max_pictures
        self._kept: OrderedDict[tuple[bytes, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def seen(self, images: UInt8[Tensor, "B 3 H W"], digests: tuple[bytes, ...]) -> Any:
        """What the model keeps of pictures.

        Args:
            images: RGB, 0 to 255.
            digests: identity of each.
        """
        with self._lock:
            kept = self._kept.get(digests)
            if kept is not None:
                self._kept.move_to_end(digests)
                return kept
        found = self._writing.see(images.to(self._device))
        with self._lock:
            self._kept[digests] = found
            while sum(map(len, self._kept)) > self._max_pictures and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return found

    def vectors(self, images: UInt8[Tensor, "B 3 H W"], digests: tuple[bytes, ...]) -> Float[Tensor, "B D"] | None:
        """The encoder's vectors of pictures; None where what was seen does not tell them."""
        if not self._writing.gives_vectors:
            return None
        return self._writing.vectors(self.seen(images, digests))
