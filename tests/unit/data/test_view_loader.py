"""The training loader: what is in a batch, that nothing but seed and step decides it, and that it always ends well."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError
from chiasm.core.example import Example
from chiasm.core.seeds import stream
from chiasm.core.views import Masking, RandomMask, Views, ViewSpec
from chiasm.data.skipped import Skipped
from chiasm.data.views import ViewLoader

PAIR = (ViewSpec(size_px=16), ViewSpec(size_px=16))
BARE = ViewSpec(size_px=8, jitter=None, grey=0, blur=None)


class Flat:
    """Pictures of one colour: the index, in base 256 over red and green. Counts reads; may be slow or broken."""

    classes: tuple[str, ...] = ()
    name = "flat"

    def __init__(self, length: int, broken: Sequence[int] = (), delay_seconds: float = 0.0) -> None:
        self._length = length
        self._broken = frozenset(broken)
        self._delay_seconds = delay_seconds
        self.reads: list[tuple[int, int | None]] = []

    def __len__(self) -> int:
        return self._length

    def key(self, index: int) -> str:
        return f"{index}.png"

    def label(self, index: int) -> int | None:
        return None

    def digest(self, index: int) -> str:
        return str(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        self.reads.append((index, min_side_px))
        time.sleep(self._delay_seconds * (index % 3))
        if index in self._broken:
            raise BrokenPictureError(self.key(index), "torn")
        picture = np.empty((20, 30, 3), np.uint8)
        picture[:] = (index // 256, index % 256, 0)
        return Example(key=self.key(index), picture=picture)


class Detailed(Flat):
    """Pictures of noise, each its own."""

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        example = super().read(index, min_side_px)
        noise = stream(0, "noise", index).integers(0, 256, example.picture.shape, dtype=np.uint8)
        return Example(key=example.key, picture=noise)


def tolerant() -> Skipped:
    """A ledger that ends the run only when nothing at all is readable."""
    return Skipped(max_share=1.0)


def loader(source: Flat, specs: Sequence[ViewSpec] = PAIR, batch_size: int = 8, **parts: Any) -> ViewLoader:
    settings = {"seed": 5, "num_threads": 2, "skipped": tolerant()} | parts
    return ViewLoader(source, specs, batch_size, **settings)


def assert_equal(first: Views, second: Views) -> None:
    assert torch.equal(first.indices, second.indices)
    assert len(first.images) == len(second.images)
    for ours, theirs in zip(first.images, second.images, strict=True):
        assert torch.equal(ours, theirs)


def threads_of_loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("views")]


def test_batch_holds_one_tensor_per_view_of_the_same_pictures() -> None:
    source = Flat(500)
    batch = loader(source, (BARE, BARE, BARE.model_copy(update={"size_px": 5})), batch_size=7).batch(3)
    assert [tuple(images.shape) for images in batch.images] == [(7, 3, 8, 8), (7, 3, 8, 8), (7, 3, 5, 5)]
    assert {images.dtype for images in batch.images} == {torch.uint8}
    assert all(images.is_contiguous() for images in batch.images)
    for images in batch.images:
        assert torch.equal(
            images[:, 0].long() * 256 + images[:, 1], batch.indices[:, None, None].expand(images[:, 0].shape)
        )
    # Decoded once for all views.
    assert [index for index, _ in source.reads] == batch.indices.tolist()


def test_batches_depend_on_seed_and_step_alone() -> None:
    steps = range(4, 10)
    reference = [loader(Detailed(50)).batch(step) for step in steps]
    for num_threads, num_ahead in ((1, 1), (3, 1), (7, 4)):
        source = Detailed(50, delay_seconds=0.001)
        made = islice(loader(source, num_threads=num_threads, num_ahead=num_ahead).iterate(4), len(reference))
        for expected, found in zip(reference, made, strict=True):
            assert_equal(expected, found)
    for other in (loader(Detailed(50), seed=6).batch(4), reference[1]):
        assert not torch.equal(reference[0].indices, other.indices)
        assert not torch.equal(reference[0].images[0], other.images[0])


def test_views_of_a_picture_differ_and_so_do_epochs() -> None:
    whole_source = loader(Detailed(8), batch_size=8)
    first, second = whole_source.batch(0), whole_source.batch(1)
    assert sorted(first.indices.tolist()) == sorted(second.indices.tolist()) == list(range(8))
    assert first.indices.tolist() != second.indices.tolist()
    order = [second.indices.tolist().index(index) for index in first.indices.tolist()]
    same_row = (first.images[0] == first.images[1]).flatten(1).all(dim=1)
    same_picture = (first.images[0] == second.images[0][order]).flatten(1).all(dim=1)
    assert not same_row.any()
    assert not same_picture.any()


@pytest.mark.parametrize(("length", "batch_size"), [(1, 4), (3, 8), (10, 4), (12, 4)])
def test_every_epoch_shows_every_picture_once(length: int, batch_size: int) -> None:
    shown = loader(Flat(length), (BARE,), batch_size)
    indices = torch.cat([shown.batch(step).indices for step in range(-(-3 * length // batch_size))]).tolist()
    for epoch in range(3):
        assert sorted(indices[epoch * length : (epoch + 1) * length]) == list(range(length))


def test_orders_are_uniform() -> None:
    epochs = loader(Flat(3), (ViewSpec(size_px=1),), batch_size=3 * 300).batch(0).indices.reshape(300, 3)
    counts = Counter(tuple(epoch) for epoch in epochs.tolist())
    assert len(counts) == 6
    assert max(abs(count - 50) for count in counts.values()) < 25


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_any_number_of_ranks_makes_the_same_batches(num_ranks: int) -> None:
    hidden = ViewSpec(size_px=8, masking=Masking(how=RandomMask(ratio=0.5), grid=4))
    alone = loader(Detailed(24), (hidden, hidden), batch_size=12)
    parts = [loader(Detailed(24), (hidden, hidden), 12, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    for step in range(3):
        whole, shares = alone.batch(step), [part.batch(step) for part in parts]
        assert torch.equal(torch.cat([share.indices for share in shares]), whole.indices)
        for view in range(2):
            assert torch.equal(torch.cat([share.images[view] for share in shares]), whole.images[view])
            masks = [share.masks[view] for share in shares]
            expected = whole.masks[view]
            assert expected is not None
            assert expected.sum(dim=1).tolist() == [8] * 12
            assert torch.equal(torch.cat([mask for mask in masks if mask is not None]), expected)
    with pytest.raises(InputError, match="share evenly"):
        loader(Detailed(24), batch_size=7, rank=0, num_ranks=num_ranks)


def test_resolution_asked_for_suffices_for_the_sharpest_view() -> None:
    source = Flat(100)
    quarter = ViewSpec(size_px=64, min_area=0.25, max_area=0.25, min_aspect=1, max_aspect=1)
    loader(source, (quarter.model_copy(update={"size_px": 8}), quarter), batch_size=3).batch(0)
    assert [side for _, side in source.reads] == [128, 128, 128]


def test_broken_picture_is_noted_and_replaced_the_same_way_each_time() -> None:
    broken, notes = range(0, 60, 2), tolerant()
    shown = ViewLoader(Flat(60, broken), PAIR, 20, seed=1, num_threads=3, skipped=notes)
    batches = list(islice(shown.iterate(), 3))
    again = [loader(Flat(60, broken), batch_size=20, seed=1).batch(step) for step in range(3)]
    for first, second in zip(batches, again, strict=True):
        assert_equal(first, second)
    indices = torch.cat([batch.indices for batch in batches])
    assert (indices % 2 == 1).all()
    assert {key for key, _ in notes.entries} == {f"{index}.png" for index in broken}
    assert notes.num_seen == 60
    # Rows still show the picture they name.
    plain = loader(Flat(60, broken), (BARE,), batch_size=20, seed=1).batch(0)
    assert torch.equal(plain.images[0][:, 1, 0, 0].long(), plain.indices)


def test_source_without_a_readable_picture_ends() -> None:
    with pytest.raises(TooManyBrokenError, match="readable picture.* of 5 cannot be read"):
        next(loader(Flat(5, range(5))).iterate())
    # Where the ledger has met a readable one before, only the number of attempts ends it.
    notes = Skipped(max_share=1.0, min_seen=10**6)
    notes.seen("elsewhere.png")
    source = Flat(2000, range(2000))
    with pytest.raises(TooManyBrokenError, match="100 of flat in a row"):
        ViewLoader(source, PAIR, 2, seed=0, num_threads=1, skipped=notes).batch(0)
    assert len(source.reads) == 100
    assert threads_of_loaders() == []


def test_ledger_stops_the_run() -> None:
    source, notes = Flat(1000, range(0, 1000, 10)), Skipped(max_share=0.01, min_seen=50)
    with pytest.raises(TooManyBrokenError, match="readable pictures, at most 1% of them broken"):
        list(ViewLoader(source, PAIR, 8, seed=0, num_threads=1, skipped=notes).iterate())
    assert notes.num_seen < 100
    assert threads_of_loaders() == []


def test_small_source_is_judged_once_all_of_it_was_met() -> None:
    # Far fewer than the ledger wants to see before it judges, but there are no more.
    broken = range(0, 20, 5)
    made = loader(Flat(20, broken), batch_size=4, skipped=Skipped()).iterate()
    with pytest.raises(TooManyBrokenError, match="4 of 20 cannot be read"):
        list(islice(made, 100))
    # One in twenty is tolerated, however often the source is gone round.
    fine = loader(Flat(20, [3]), batch_size=4, skipped=Skipped()).iterate()
    assert len(list(islice(fine, 30))) == 30
    fine.close()


def test_defect_in_a_source_comes_out_and_ends_the_threads() -> None:
    class Defective(Flat):
        def read(self, index: int, min_side_px: int | None = None) -> Example:
            raise RuntimeError("defect")

    with pytest.raises(RuntimeError, match="defect"):
        next(loader(Defective(50)).iterate())
    assert threads_of_loaders() == []


def test_closing_or_dropping_the_iterator_ends_the_threads_at_once() -> None:
    closed = loader(Flat(10**4, delay_seconds=0.02), batch_size=60).iterate()
    assert threads_of_loaders() == []
    dropped = loader(Flat(50)).iterate()
    assert len([next(dropped) for _ in range(3)]) == 3
    del dropped
    gc.collect()
    assert threads_of_loaders() == []
    next(closed)
    assert len(threads_of_loaders()) == 2
    start = time.monotonic()
    closed.close()
    # Less than the two batches that were under way would have taken (1.2 s).
    assert time.monotonic() - start < 0.6
    assert threads_of_loaders() == []


def test_work_ahead_is_bounded() -> None:
    source = Flat(1000)
    made = loader(source, (BARE,), batch_size=10, num_ahead=2).iterate()
    for taken in range(1, 4):
        next(made)
        deadline = time.monotonic() + 10
        while len(source.reads) < 10 * (taken + 2) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.05)
        assert len(source.reads) == 10 * (taken + 2)
    made.close()


def test_batch_that_was_handed_out_is_not_written_to_again() -> None:
    made = loader(Detailed(40)).iterate()
    first = next(made)
    kept = [images.clone() for images in first.images]
    for _ in range(5):
        next(made)
    made.close()
    assert all(torch.equal(images, copy) for images, copy in zip(first.images, kept, strict=True))


def test_empty_source_and_senseless_counts_are_refused() -> None:
    with pytest.raises(InputError, match="flat has none"):
        loader(Flat(0))
    with pytest.raises(ValueError, match="positive counts"):
        loader(Flat(3), batch_size=0)
    for settings in ({"num_threads": 0}, {"num_ahead": 0}, {"rank": 2, "num_ranks": 2}):
        with pytest.raises(ValueError, match="positive counts"):
            loader(Flat(3), PAIR, 8, **settings)
    with pytest.raises(ValueError, match="0 views"):
        loader(Flat(3), ())
