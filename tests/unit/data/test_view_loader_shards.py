"""Shards behind the training loader: every picture once an epoch over all processes, however many go on with a run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.core.views import Views, ViewSpec
from chiasm.data.cache import Cached
from chiasm.data.open import open_source
from chiasm.data.skipped import Skipped
from chiasm.data.views import ViewLoader

BARE = ViewSpec(size_px=4, jitter=None, grey=0, blur=None)
NUM_PICTURES = 42
BATCH_SIZE = 12


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """Pictures whose colour is their number, in shards of 5, 15 and 22."""
    for first, last in ((0, 5), (5, 20), (20, NUM_PICTURES)):
        with tarfile.open(tmp_path / f"part-{first:04d}.tar", "w") as archive:
            for number in range(first, last):
                file = io.BytesIO()
                Image.new("RGB", (6, 5), (number, number, number)).save(file, "PNG")
                _add(archive, f"{number:04d}.png", file.getvalue())
                _add(archive, f"{number:04d}.cls", str(number % 3).encode())
    return str(tmp_path)


def _processes(where: str, num_ranks: int, num_threads: int, first_step: int) -> list[Iterator[Views]]:
    """What each process reads, each with a source of its own, as in processes of their own."""
    return [
        ViewLoader(
            Cached(open_source(where), max_bytes=2000),
            (BARE, BARE),
            BATCH_SIZE,
            seed=7,
            num_threads=num_threads,
            skipped=Skipped(),
            rank=rank,
            num_ranks=num_ranks,
        ).iterate(first_step)
        for rank in range(num_ranks)
    ]


def _numbers(parts: Sequence[Views]) -> list[int]:
    """The pictures of one batch over all processes, told from their colours."""
    for part in parts:
        colours = part.images[0][:, 0, 0, 0]
        assert torch.equal(part.images[0], colours[:, None, None, None].expand_as(part.images[0]))
        assert torch.equal(part.images[1], part.images[0])
        assert part.labels is not None
        assert part.labels.tolist() == [colour % 3 for colour in colours.tolist()]
    return [number for part in parts for number in part.images[0][:, 0, 0, 0].tolist()]


def test_every_epoch_shows_every_picture_once_over_all_processes_also_resumed_with_others(shards: str) -> None:
    expected = [_numbers([batch]) for batch in islice(_processes(shards, 1, 1, 0)[0], 7)]
    # Two epochs end to end, in batches that do not divide them.
    shown = np.concatenate(expected)
    for epoch in range(2):
        assert sorted(shown[epoch * NUM_PICTURES : (epoch + 1) * NUM_PICTURES]) == list(range(NUM_PICTURES))
    assert shown[:NUM_PICTURES].tolist() != sorted(shown[:NUM_PICTURES])
    found: list[list[int]] = []
    # A run of two processes goes on with three, then with one: always in the middle of an epoch.
    for num_ranks, num_threads, num_steps in ((2, 3, 2), (3, 1, 3), (1, 4, 2)):
        streams = _processes(shards, num_ranks, num_threads, len(found))
        found += [_numbers([next(stream) for stream in streams]) for _ in range(num_steps)]
    assert found == expected


def test_pictures_of_a_batch_come_from_all_shards(shards: str) -> None:
    batches = [_numbers([batch]) for batch in islice(_processes(shards, 1, 2, 0)[0], 7)]
    from_last = [sum(number >= 20 for number in batch) for batch in batches]
    assert max(from_last) < BATCH_SIZE
    assert min(from_last) > 0
