"""The cache of small pictures: same answers as the source, fewer reads, bounded memory."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Edit, Example, Source, Truth
from chiasm.data import cache
from chiasm.data.cache import Cached


class Scaling:
    """Square pictures whose side is given per index; like a JPEG, they are handed out halved where that suffices."""

    classes = ("a", "b")
    name = "scaling"

    def __init__(self, *sides: int) -> None:
        self._sides = sides
        self.num_reads = 0
        self.broken = False

    def __len__(self) -> int:
        return len(self._sides)

    def key(self, index: int) -> str:
        return f"key {index}"

    def label(self, index: int) -> int | None:
        return index % 2

    def digest(self, index: int) -> str:
        return f"{index}{' torn' * self.broken}"

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        self.num_reads += 1
        if self.broken:
            raise BrokenPictureError(self.key(index), "torn")
        side = self._sides[index]
        while min_side_px is not None and side // 2 >= min_side_px:
            side //= 2
        return Example(self.key(index), np.full((side, side, 3), index, np.uint8), label=self.label(index))


def test_digests_are_those_of_the_source_now() -> None:
    source = Scaling(32)
    cached = Cached(source, max_bytes=10**6)
    cached.read(0)
    before = cached.digest(0)
    source.broken = True
    assert cached.digest(0) != before


def test_small_pictures_are_read_once_and_in_full() -> None:
    source = Scaling(32, 40)
    cached = Cached(source, max_bytes=10**6, max_side_px=64)
    for min_side_px in (8, None, 300, 20):
        for index, side in enumerate((32, 40)):
            example = cached.read(index, min_side_px)
            assert example.picture.shape == (side, side, 3)
            assert (example.picture == index).all()
            assert (example.key, example.label) == (f"key {index}", index)
    assert source.num_reads == 2
    assert cached.num_bytes == 3 * (32**2 + 40**2)


def test_scaled_versions_of_large_pictures_are_never_kept() -> None:
    source = Scaling(256)
    cached = Cached(source, max_bytes=10**6, max_side_px=64)
    assert cached.read(0, 50).picture.shape[0] == 128
    assert cached.read(0, 200).picture.shape[0] == 256
    assert cached.read(0).picture.shape[0] == 256
    assert source.num_reads == 3
    assert cached.num_bytes == 0


def test_side_at_the_limit_is_kept_and_beyond_is_not() -> None:
    cached = Cached(Scaling(64, 65), max_bytes=10**6, max_side_px=64)
    for index in (0, 1):
        cached.read(index, 10)
    assert cached.num_bytes == 3 * 64**2


def test_memory_is_bounded_and_first_pictures_stay() -> None:
    source = Scaling(*[10] * 20)
    cached = Cached(source, max_bytes=3 * 10**2 * 7 + 5)
    for index in (*range(20), *range(20)):
        cached.read(index)
    assert cached.num_bytes == 3 * 10**2 * 7
    assert source.num_reads == 20 + 13


def test_masks_and_edits_count_too() -> None:
    class Masked(Scaling):
        def read(self, index: int, min_side_px: int | None = None) -> Example:
            empty = np.zeros((0, 4), np.float32), np.zeros((0, 8, 8), bool), np.zeros(0, np.int64)
            grid = np.zeros((8, 8), np.uint8)
            picture = np.zeros((8, 8, 3), np.uint8)
            return Example("x", picture, truth=Truth(*empty, grid, grid), edit=Edit("turn", picture))

    cached = Cached(Masked(8), max_bytes=10**6)
    cached.read(0)
    assert cached.num_bytes == 2 * 192 + 2 * 64


def test_pictures_are_shared_but_cannot_be_written() -> None:
    cached = Cached(Scaling(16), max_bytes=10**6)
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            cached.read(0).picture[0, 0, 0] = 1


def test_broken_picture_is_tried_again() -> None:
    source = Scaling(16)
    source.broken = True
    cached = Cached(source, max_bytes=10**6)
    with pytest.raises(BrokenPictureError):
        cached.read(0)
    source.broken = False
    assert cached.read(0).picture.shape == (16, 16, 3)


def test_it_is_a_source_and_speaks_for_the_one_inside() -> None:
    cached = Cached(Scaling(16, 16, 16), max_bytes=0)
    assert isinstance(cached, Source)
    assert (cached.name, cached.classes, len(cached)) == ("scaling", ("a", "b"), 3)
    assert (cached.key(2), cached.label(1)) == ("key 2", 1)


def test_many_threads_count_each_picture_once() -> None:
    cached = Cached(Scaling(*[4] * 200), max_bytes=48 * 150)
    threads = [threading.Thread(target=lambda: [cached.read(index) for index in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cached.num_bytes == 48 * 150


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(str(64 * 10**9), 8 * 10**9), (str(10**9), cache.LEAST_BYTES), ("max", 32 * 10**9), (None, 32 * 10**9)],
)
def test_an_eighth_of_the_memory_is_for_pictures(monkeypatch, tmp_path, limit, expected):
    pages = {"SC_PAGE_SIZE": 4000, "SC_PHYS_PAGES": 64 * 10**6}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    monkeypatch.setattr(cache, "_LIMIT_OF_CONTAINER", tmp_path / "memory.max")
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
    assert cache.usual_bytes() == expected
