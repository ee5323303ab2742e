"""Decoded pictures kept in memory, for sources of small pictures where decoding again in each epoch is waste.

50,000 pictures of 32 px take 150 MB decoded. Pictures are kept until the limit is reached and never given up again:
training visits a source in a new random order in each epoch, where giving up the oldest would lose most hits.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

from chiasm.core.example import Example, Source

LEAST_BYTES = 1_000_000_000
_LIMIT_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def usual_bytes() -> int:
    """Memory that kept pictures may take: an eighth of what the machine or container has, and at least 1 GB."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return LEAST_BYTES
    # Where there is no container there is no file; one without a limit says "max".
    with suppress(OSError, ValueError):
        memory = min(memory, int(_LIMIT_OF_CONTAINER.read_text(encoding="ascii")))
    return max(LEAST_BYTES, memory // 8)


class Cached:
    """A source that remembers the small pictures of another source.

    Args:
        source: where the examples come from.
        max_bytes: how much memory the pictures (and masks, where examples have them) may take.
        max_side_px: pictures with a longer shorter side are passed on and never kept.
    """

    def __init__(self, source: Source, max_bytes: int, max_side_px: int = 128) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._max_side_px = max_side_px
        self._kept: dict[int, Example] = {}
        self._num_bytes = 0
        self._lock = Lock()

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self._source.classes

    @property
    def num_bytes(self) -> int:
        """Memory that the kept examples take."""
        return self._num_bytes

    def __len__(self) -> int:
        return len(self._source)

    def key(self, index: int) -> str:
        return self._source.key(index)

    def label(self, index: int) -> int | None:
        return self._source.label(index)

    def digest(self, index: int) -> str:
        """As the source tells it now; a kept picture may be older."""
        return self._source.digest(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read one example; a kept one is full size, whatever `min_side_px` is, and its picture is read-only.

        Raises:
            BrokenPictureError: the picture cannot be decoded; it is tried again next time.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        if min_side_px is None:
            return self._keep(index, self._source.read(index))
        # Asking for more than `max_side_px` makes sure that a picture of at most that is the whole one, not a
        # version that the source has scaled down.
        return self._keep(index, self._source.read(index, max(min_side_px, self._max_side_px + 1)))

    def _keep(self, index: int, example: Example) -> Example:
        """Remember an example if it is small and there is room."""
        if min(example.picture.shape[:2]) > self._max_side_px:
            return example
        num_bytes = _num_bytes(example)
        shared = example.picture.view()
        shared.flags.writeable = False
        example = replace(example, picture=shared)
        with self._lock:
            if index not in self._kept and self._num_bytes + num_bytes <= self._max_bytes:
                self._kept[index] = example
                self._num_bytes += num_bytes
        return example


def _num_bytes(example: Example) -> int:
    arrays = [example.picture]
    if example.truth is not None:
        truth = example.truth
        arrays += [truth.boxes, truth.masks, truth.classes, truth.semantic, truth.panoptic]
    if example.edit is not None:
        arrays.append(example.edit.after)
    return sum(array.nbytes for array in arrays)
