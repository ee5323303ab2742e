"""Batches rendered at once on a device: the same views as picture by picture, whatever the sizes of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from chiasm.core.example import Example
from chiasm.core.seeds import stream
from chiasm.core.views import Blur, ColourJitter, Masking, RandomMask, Views, ViewSpec
from chiasm.data.augment import batched
from chiasm.data.augment.batched import Together
from chiasm.data.augment.cpu import OneByOne
from chiasm.data.augment.rendering import Executor, Rendering, executor_for
from chiasm.data.augment.sample import ViewDraws, sample
from chiasm.data.skipped import Skipped
from chiasm.data.views import ViewLoader

CPU = torch.device("cpu")
JITTER = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
MULTICROP = (
    ViewSpec(size_px=48, min_area=0.4, jitter=JITTER, blur=Blur(probability=1, max_sigma_px=8)),
    ViewSpec(size_px=48, min_area=0.4, jitter=JITTER, blur=Blur(probability=0.1, max_sigma_px=8), solarise=0.2),
    ViewSpec(size_px=24, min_area=0.05, max_area=0.4, jitter=JITTER, masking=Masking(how=RandomMask(), grid=4)),
)


def photo(seed: int, height: int, width: int) -> np.ndarray:
    """Detail at several scales, with colours of moderate saturation."""
    generator = stream(seed, "photo")
    picture = np.full((height, width, 3), 128.0)
    for cells, strength in ((4, 40), (12, 20), (48, 10)):
        coarse = generator.standard_normal((cells, cells, 3)) * strength
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


class Photos:
    """Photos of all sizes; every seventh is a panorama that is too long for a canvas."""

    name = "photos"
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 21

    def key(self, index: int) -> str:
        return str(index)

    def label(self, index: int) -> int | None:
        return index % 3

    def digest(self, index: int) -> str:
        return str(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        if index % 7 == 3:
            return Example(str(index), photo(index, 40, batched.MAX_SIDE_PX + 1))
        return Example(str(index), photo(index, 30 + 7 * (index % 5), 90 - 3 * index))


def draws_of(num_pictures: int) -> list[ViewDraws]:
    return [sample(spec, num_pictures, stream(view, "test")) for view, spec in enumerate(MULTICROP)]


def rendered(rendering: Rendering, pictures: Sequence[np.ndarray]) -> tuple[torch.Tensor, ...]:
    for place in reversed(range(len(pictures))):
        rendering.put(place, pictures[place])
    return rendering.views()


def assert_alike(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor], draws: Sequence[ViewDraws]) -> None:
    """The stated tolerance: one level after resizing, times what the colours make of it, and one of rounding after."""
    assert len(one) == len(other) == len(draws)
    for ours, theirs, drawn in zip(one, other, draws, strict=True):
        assert ours.dtype == theirs.dtype == torch.uint8
        difference = (ours.short() - theirs.short()).abs().flatten(1)
        gains = torch.from_numpy(abs(drawn.colours.mixes).sum(axis=2).max(axis=1))
        assert (difference.amax(dim=1) <= 2 + gains.ceil()).all()
        assert difference.float().mean() < 0.3
        assert (difference > 2).float().mean() < 0.01


@pytest.mark.parametrize("values_at_once", [1, 3 * 3 * 60 * 90, 1 << 27])
def test_pictures_of_different_sizes_give_the_views_of_each(
    monkeypatch: pytest.MonkeyPatch, values_at_once: int
) -> None:
    monkeypatch.setattr(batched, "_VALUES_AT_ONCE", values_at_once)
    pictures = [photo(index, 25 + 5 * (index % 8), 90 - 9 * (index % 5)) for index in range(16)]
    draws = draws_of(16)
    together = rendered(Together(draws, CPU), pictures)
    assert_alike(together, rendered(OneByOne(draws), pictures), draws)
    # A row is made of its own picture: with another neighbour it is the same to the bit.
    again = rendered(Together(draws, CPU), [*pictures[:15], photo(99, 200, 300)])
    for one, other in zip(together, again, strict=True):
        assert torch.equal(one[:15], other[:15])
        assert not torch.equal(one[15], other[15])


def test_pictures_too_long_for_a_canvas_do_not_widen_it() -> None:
    pictures = [photo(0, 40, 50), photo(1, 20, batched.MAX_SIDE_PX + 1), photo(2, 40, 50)]
    draws = draws_of(3)
    rendering = Together(draws, CPU)
    together = rendered(rendering, pictures)
    assert rendering._canvases.shape == (3, 40, 50, 3)
    alone = rendered(OneByOne(draws), pictures)
    assert_alike(together, alone, draws)
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one[1], other[1])
    only_long = rendered(Together(draws, CPU), [pictures[1]] * 3)
    for one, other in zip(only_long, rendered(OneByOne(draws), [pictures[1]] * 3), strict=True):
        assert torch.equal(one, other)


def test_threads_may_bring_the_pictures_in_any_order() -> None:
    pictures = [photo(index, 30 + index, 40) for index in range(24)]
    draws = draws_of(24)
    expected = rendered(Together(draws, CPU), pictures)
    for _ in range(5):
        rendering = Together(draws, CPU)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(rendering.put, range(24), pictures))
        for one, other in zip(rendering.views(), expected, strict=True):
            assert torch.equal(one, other)


def loader(executor: Executor, seed: int = 3, num_threads: int = 2, rank: int = 0, num_ranks: int = 1) -> ViewLoader:
    return ViewLoader(
        Photos(), MULTICROP, 12, seed, num_threads, Skipped(), rank=rank, num_ranks=num_ranks, executor=executor
    )


def test_loader_gives_the_same_batches_with_either_executor() -> None:
    together = partial(Together, device=CPU)
    batches: list[tuple[Views, Views]] = list(
        zip(islice(loader(OneByOne).iterate(2), 3), islice(loader(together).iterate(2), 3), strict=True)
    )
    for step, (one, other) in enumerate(batches, start=2):
        draws = [sample(spec, 12, stream(3, "augment", step, view)) for view, spec in enumerate(MULTICROP)]
        assert_alike(one.images, other.images, draws)
        assert torch.equal(one.indices, other.indices)
        assert one.labels is not None
        assert other.labels is not None
        assert torch.equal(one.labels, other.labels)
        assert one.masks[2] is not None
        assert other.masks[2] is not None
        assert torch.equal(one.masks[2], other.masks[2])
        in_this_thread = loader(together).batch(step).images
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(in_this_thread, other.images, strict=True))
    parts = [loader(together, rank=rank, num_ranks=3).batch(2) for rank in range(3)]
    whole = batches[0][1]
    for view in range(3):
        assert torch.equal(torch.cat([part.images[view] for part in parts]), whole.images[view])


def test_processors_work_picture_by_picture_and_other_devices_at_once() -> None:
    draws = draws_of(2)
    assert isinstance(executor_for(CPU)(draws), OneByOne)
    # No memory is taken on a device before the pictures are there.
    for kind in ("cuda", "mps"):
        assert isinstance(executor_for(torch.device(kind))(draws), Together)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_views_of_the_processor() -> None:
    pictures = [photo(index, 25 + 5 * (index % 8), 90 - 9 * (index % 5)) for index in range(16)]
    draws = draws_of(16)
    found = rendered(executor_for(torch.device("cuda"))(draws), pictures)
    assert {images.device.type for images in found} == {"cuda"}
    assert_alike([images.cpu() for images in found], rendered(OneByOne(draws), pictures), draws)
