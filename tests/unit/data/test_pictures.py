"""The ordered loader: exact order, full batches around broken pictures, right pixels, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError
from chiasm.core.example import Example
from chiasm.data.fits import CentreCrop, Squash
from chiasm.data.open import open_source
from chiasm.data.pictures import PictureLoader
from chiasm.data.skipped import Skipped


class Numbered:
    """A source whose pictures say their number; some are broken, and later ones tend to be ready earlier."""

    name = "numbered"
    classes = ("even", "odd")

    def __init__(self, length: int, broken: frozenset[int] = frozenset(), failing: int | None = None) -> None:
        self._length = length
        self._broken = broken
        self._failing = failing
        self.reads: list[int] = []
        self.sizes: set[int | None] = set()

    def __len__(self) -> int:
        return self._length

    def key(self, index: int) -> str:
        return f"picture {index}"

    def label(self, index: int) -> int | None:
        return index % 2 if index % 5 else None

    def digest(self, index: int) -> str:
        return str(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        self.reads.append(index)
        self.sizes.add(min_side_px)
        time.sleep(0.002 * (index % 3 == 0))
        if index == self._failing:
            raise RuntimeError("a defect of the source")
        if index in self._broken:
            raise BrokenPictureError(self.key(index), "cut off")
        picture = np.full((6, 8, 3), index % 256, np.uint8)
        return Example(self.key(index), picture, self.label(index), (f"number {index}",))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("pictures")]
    assert left == []


def _collect(loader: PictureLoader, indices: list[int]) -> None:
    for batch in loader:
        indices += batch.indices.tolist()


@pytest.mark.parametrize("num_threads", [1, 4])
def test_order_and_content_are_the_sources(num_threads: int) -> None:
    batches = list(PictureLoader(Numbered(103), 4, 10, num_threads=num_threads))
    assert [len(batch.keys) for batch in batches] == [10] * 10 + [3]
    for batch in batches:
        assert batch.images.shape[1:] == (3, 4, 4)
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.images[:, 1, 2, 3].tolist() == batch.indices.tolist()
    indices = np.concatenate([batch.indices for batch in batches]).tolist()
    assert indices == list(range(103))
    assert [key for batch in batches for key in batch.keys] == [f"picture {index}" for index in range(103)]
    assert np.concatenate([batch.labels for batch in batches]).tolist() == [
        index % 2 if index % 5 else -1 for index in range(103)
    ]
    assert batches[1].captions[0] == ("number 10",)


def test_every_pass_starts_anew() -> None:
    loader = PictureLoader(Numbered(9), 4, 4, num_threads=2)
    assert [batch.keys for batch in loader] == [batch.keys for batch in loader]
    assert loader.skipped.num_seen == 9


def test_a_choice_of_examples_in_its_own_order() -> None:
    order = [7, 3, 3, 12, 0]
    (batch,) = PictureLoader(Numbered(20), 4, 8, num_threads=2, indices=order)
    assert batch.indices.tolist() == order


def test_broken_pictures_are_dropped_and_batches_stay_full() -> None:
    broken = frozenset({0, 5, 17, 59})
    loader = PictureLoader(Numbered(60, broken), 4, 10, num_threads=3)
    batches = list(loader)
    assert [len(batch.keys) for batch in batches] == [10] * 5 + [6]
    indices = np.concatenate([batch.indices for batch in batches]).tolist()
    assert indices == [index for index in range(60) if index not in broken]
    assert {key for key, _ in loader.skipped.entries} == {f"picture {index}" for index in broken}
    assert loader.skipped.num_seen == 60


def test_too_many_broken_ends_the_pass_midway() -> None:
    source = Numbered(2000, frozenset(range(100, 2000)))
    seen: list[int] = []
    with pytest.raises(TooManyBrokenError):
        _collect(PictureLoader(source, 4, 16, Skipped(min_seen=50), num_threads=2), seen)
    assert seen == list(range(96))
    assert len(source.reads) < 400


@pytest.mark.parametrize("num_pictures", [1, 30])
def test_nothing_readable_is_an_error_after_no_batch(num_pictures: int) -> None:
    source = Numbered(num_pictures, frozenset(range(num_pictures)))
    with pytest.raises(TooManyBrokenError, match="at least one readable picture"):
        next(iter(PictureLoader(source, 4, 16, Skipped(max_share=1.0), num_threads=2)))


def test_an_empty_source_gives_no_batch() -> None:
    assert list(PictureLoader(Numbered(0), 4, 16, num_threads=2)) == []


def test_work_runs_ahead_by_a_bounded_number_and_stops_with_the_consumer() -> None:
    source = Numbered(5000)
    batches = iter(PictureLoader(source, 4, 8, num_threads=2))
    next(batches)
    time.sleep(0.1)
    assert len(source.reads) < 120
    batches.close()
    before = len(source.reads)
    time.sleep(0.02)
    assert len(source.reads) == before


def test_a_defect_of_the_source_is_raised_as_it_is() -> None:
    seen: list[int] = []
    with pytest.raises(RuntimeError, match="a defect of the source"):
        _collect(PictureLoader(Numbered(500, failing=40), 4, 8, num_threads=3), seen)
    assert 24 <= len(seen) <= 40
    assert seen == list(range(len(seen)))


def test_an_error_of_the_consumer_ends_the_threads() -> None:
    def consume() -> None:
        for _ in PictureLoader(Numbered(500), 4, 8, num_threads=3):
            raise KeyError("the consumer's own")

    with pytest.raises(KeyError):
        consume()


def test_the_source_is_asked_for_what_suffices() -> None:
    for fit, side in ((CentreCrop(), 28), (CentreCrop(share=0.875), 32), (Squash(), 28)):
        source = Numbered(2)
        list(PictureLoader(source, 28, 2, fit=fit, num_threads=1))
        assert source.sizes == {side}


@pytest.mark.parametrize("counts", [(0, 4, 1), (4, 0, 1), (4, 4, 0)])
def test_impossible_counts(counts: tuple[int, int, int]) -> None:
    size_px, batch_size, num_threads = counts
    with pytest.raises(InputError, match="at least 1"):
        PictureLoader(Numbered(1), size_px, batch_size, num_threads=num_threads)


def test_real_files_with_a_broken_one(tmp_path: Path) -> None:
    for number in range(12):
        Image.new("RGB", (200, 120), (number * 20, 0, 0)).save(tmp_path / f"{number:02d}.jpg", quality=95)
    (tmp_path / "05.jpg").write_bytes((tmp_path / "05.jpg").read_bytes()[:-40])
    loader = PictureLoader(open_source(str(tmp_path)), 32, 8, Skipped(tmp_path / "skipped.jsonl"), num_threads=2)
    batches = list(loader)
    assert [batch.images.shape[0] for batch in batches] == [8, 3]
    reds = torch.cat([batch.images[:, 0, 16, 16] for batch in batches]).int() - torch.tensor(
        [number * 20 for number in range(12) if number != 5]
    )
    assert reds.abs().max() <= 2
    assert "05.jpg" in (tmp_path / "skipped.jsonl").read_text()


class TestFits:
    def _picture(self, height: int, width: int) -> np.ndarray:
        coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    @pytest.mark.parametrize("shape", [(120, 240), (240, 120), (150, 150), (64, 96)])
    def test_centre_crop_equals_resizing_first(self, shape: tuple[int, int]) -> None:
        picture = self._picture(*shape)
        size = 32
        scale = size / min(shape)
        width, height = round(shape[1] * scale), round(shape[0] * scale)
        whole = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        top, left = (height - size) // 2, (width - size) // 2
        expected = whole[top : top + size, left : left + size]
        difference = np.abs(CentreCrop()(picture, size).astype(int) - expected)
        assert difference.max() <= 1

    def test_shrinking_averages_areas(self) -> None:
        picture = self._picture(64, 64)
        expected = picture.reshape(16, 4, 16, 4, 3).mean((1, 3))
        assert np.abs(CentreCrop()(picture, 16) - expected).max() <= 0.51

    def test_growing_is_bicubic(self) -> None:
        picture = self._picture(20, 30)
        expected = cv2.resize(picture[:, 5:25], (50, 50), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_array_equal(CentreCrop()(picture, 50), expected)

    def test_share_cuts_the_border_off(self) -> None:
        picture = np.zeros((80, 80, 3), np.uint8)
        picture[10:70, 10:70] = 200
        assert CentreCrop(share=0.75)(picture, 30).min() == 200
        assert CentreCrop(share=1.0)(picture, 30).min() == 0

    @pytest.mark.parametrize("share", [0.0, -1.0, 1.1])
    def test_an_impossible_share(self, share: float) -> None:
        with pytest.raises(InputError, match="share"):
            CentreCrop.parse({"share": share}, "a fit")

    def test_squash_keeps_everything(self) -> None:
        picture = np.zeros((40, 100, 3), np.uint8)
        picture[:, :10] = 250
        squashed = Squash()(picture, 20)
        assert squashed.shape == (20, 20, 3)
        assert (squashed[:, :2] == 250).all()
        assert (squashed[:, 2:] == 0).all()

    @pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (1, 1), (2, 300)])
    @pytest.mark.parametrize("fit", [CentreCrop(), CentreCrop(share=0.5), Squash()])
    def test_extreme_shapes(self, shape: tuple[int, int], fit: CentreCrop | Squash) -> None:
        square = fit(np.full((*shape, 3), 9, np.uint8), 64)
        assert square.shape == (64, 64, 3)
        assert (square == 9).all()

    def test_the_right_size_is_left_alone(self) -> None:
        picture = self._picture(32, 32)
        np.testing.assert_array_equal(CentreCrop()(picture, 32), picture)
