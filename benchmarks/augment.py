"""How many pictures a second one core turns into the two views of SimCLR, against the customary Pillow sequence.

Both start from the same JPEG bytes in memory (224 px) or the same decoded bytes (32 px) and end in a batch of bytes,
channels first. Times are processor time, so other work on the machine hardly counts. The peer decodes each picture once
and then runs crop, flip, brightness, contrast, saturation and hue in random order, grey and blur one after the other
with Pillow, as torchvision does on Pillow images.

    python benchmarks/augment.py [--data FOLDER_OF_JPEGS] [--num-batches 4] [--num-rounds 3]

Without --data the photos are synthesised: 500 x 375 px, smooth shapes with detail, JPEG quality 90.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter

from chiasm.core.example import Example
from chiasm.core.seeds import stream
from chiasm.core.views import ColourJitter, ViewSpec
from chiasm.data.augment.batched import Together
from chiasm.data.decode import decode
from chiasm.data.skipped import Skipped
from chiasm.data.views import ViewLoader

BATCH_SIZE = 64


class Jpegs:
    """Encoded photos in memory."""

    name = "jpegs"
    classes: tuple[str, ...] = ()

    def __init__(self, files: Sequence[bytes]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def key(self, index: int) -> str:
        return str(index)

    def label(self, index: int) -> int | None:
        return None

    def digest(self, index: int) -> str:
        return self.key(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        return Example(str(index), decode(self.files[index], str(index), min_side_px))


class Decoded(Jpegs):
    """Small pictures in memory, as `Cached` keeps them."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        super().__init__([b""] * len(pictures))
        self.examples = [Example(str(index), picture) for index, picture in enumerate(pictures)]

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        return self.examples[index]


def synthesise(num_photos: int, height: int, width: int) -> list[np.ndarray]:
    """Photos of smooth shapes with detail and a little noise."""
    photos = []
    for number in range(num_photos):
        generator = stream(0, "photo", number)
        photo = np.full((height, width, 3), 128.0)
        for cells, strength in ((4, 60), (16, 30), (64, 15), (160, 6)):
            coarse = generator.standard_normal((cells, cells, 3)) * strength
            photo += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        photos.append(np.clip(photo + generator.normal(0, 3, photo.shape), 0, 255).astype(np.uint8))
    return photos


def encode(photo: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=90)
    return file.getvalue()


def pillow_crop(picture: Image.Image, spec: ViewSpec, generator: np.random.Generator) -> Image.Image:
    """Random resized crop with ten tries and the whole picture as the fallback."""
    size = (spec.size_px, spec.size_px)
    for _ in range(10):
        area = picture.width * picture.height * generator.uniform(spec.min_area, spec.max_area)
        aspect = np.exp(generator.uniform(np.log(spec.min_aspect), np.log(spec.max_aspect)))
        width, height = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < width <= picture.width and 0 < height <= picture.height:
            left = int(generator.integers(picture.width - width + 1))
            top = int(generator.integers(picture.height - height + 1))
            box = (left, top, left + width, top + height)
            return picture.resize(size, Image.Resampling.BILINEAR, box=box)
    return picture.resize(size, Image.Resampling.BILINEAR)


def pillow_hue(picture: Image.Image, shift: float) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    turned = Image.fromarray(np.asarray(hue) + np.uint8(round(shift * 255) % 256))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def pillow_jitter(picture: Image.Image, jitter: ColourJitter, generator: np.random.Generator) -> Image.Image:
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    strengths = (jitter.brightness, jitter.contrast, jitter.saturation)
    for operation in generator.permutation(4).tolist():
        if operation == 3:
            picture = pillow_hue(picture, generator.uniform(-jitter.hue, jitter.hue))
        else:
            factor = generator.uniform(max(0, 1 - strengths[operation]), 1 + strengths[operation])
            picture = enhancers[operation](picture).enhance(factor)
    return picture


def pillow_view(picture: Image.Image, spec: ViewSpec, generator: np.random.Generator) -> np.ndarray:
    view = pillow_crop(picture, spec, generator)
    if generator.random() < spec.flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if spec.jitter is not None and generator.random() < spec.jitter.probability:
        view = pillow_jitter(view, spec.jitter, generator)
    if generator.random() < spec.grey:
        view = view.convert("L").convert("RGB")
    if spec.blur is not None and generator.random() < spec.blur.probability:
        sigma = generator.uniform(spec.blur.min_sigma_px, spec.blur.max_sigma_px)
        view = view.filter(ImageFilter.GaussianBlur(sigma * spec.size_px / 224))
    return np.asarray(view).transpose(2, 0, 1)


def pillow_batch(open_picture: Callable[[int], Image.Image], specs: Sequence[ViewSpec], step: int) -> None:
    """One batch by the peer, written to memory as a loader would."""
    generator = stream(0, "peer", step)
    out = [np.empty((BATCH_SIZE, 3, spec.size_px, spec.size_px), np.uint8) for spec in specs]
    for place in range(BATCH_SIZE):
        picture = open_picture(step * BATCH_SIZE + place)
        for spec, views in zip(specs, out, strict=True):
            views[place] = pillow_view(picture, spec, generator)


def rate(work: Callable[[], None], num_pictures: int) -> float:
    """Pictures per second of processor time, all threads together."""
    start = time.process_time()
    work()
    return num_pictures / (time.process_time() - start)


def consume(loader: ViewLoader, num_batches: int) -> None:
    # The loader would work ahead, so batches are asked for one by one.
    for step in range(num_batches):
        loader.batch(step)


def wall_rate(loader: ViewLoader, num_batches: int) -> float:
    """Pictures per second of the clock, through the threads."""
    made = loader.iterate()
    next(made)
    start = time.perf_counter()
    for _ in islice(made, num_batches):
        pass
    seconds = time.perf_counter() - start
    made.close()
    return num_batches * BATCH_SIZE / seconds


def compare(name: str, workers: dict[str, Callable[[], None]], num_pictures: int, num_rounds: int) -> None:
    """Run all in turn, several times, and print the best of each and its ratio to the last one, the peer."""
    best = dict.fromkeys(workers, 0.0)
    for _, worker in itertools.product(range(num_rounds), workers):
        best[worker] = max(best[worker], rate(workers[worker], num_pictures))
    peer = best[list(workers)[-1]]
    print(name)
    for worker, speed in best.items():
        print(f"  {worker:48s}{speed:10.0f} pictures/s per core {speed / peer:8.2f} x the peer")


def photos_of(folder: Path | None) -> list[bytes]:
    if folder is None:
        return [encode(photo) for photo in synthesise(64, 375, 500)]
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return [path.read_bytes() for path in files[:256]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="a folder of JPEGs; synthesised when not given")
    parser.add_argument("--num-batches", type=int, default=4)
    parser.add_argument("--num-rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    num_pictures = arguments.num_batches * BATCH_SIZE
    steps = range(arguments.num_batches)

    files = photos_of(arguments.data)
    pair = (ViewSpec(size_px=224), ViewSpec(size_px=224))
    large = ViewLoader(Jpegs(files), pair, BATCH_SIZE, seed=0, num_threads=2, skipped=Skipped())

    def open_file(index: int) -> Image.Image:
        return Image.open(io.BytesIO(files[index % len(files)])).convert("RGB")

    compare(
        f"SimCLR pair at 224 px from {len(files)} JPEGs, decoding included",
        {
            "chiasm": lambda: consume(large, arguments.num_batches),
            "chiasm, decoding alone (full size)": lambda: [
                decode(files[index % len(files)], "photo") for index in range(num_pictures)
            ].clear(),
            "peer: Pillow": lambda: [pillow_batch(open_file, pair, step) for step in steps].clear(),
        },
        num_pictures,
        arguments.num_rounds,
    )
    print(f"  chiasm with two threads: {wall_rate(large, arguments.num_batches):.0f} pictures/s of the clock")

    pictures = [cv2.resize(photo, (32, 32), interpolation=cv2.INTER_AREA) for photo in synthesise(256, 128, 128)]
    small_pair = (ViewSpec(size_px=32, blur=None), ViewSpec(size_px=32, blur=None))
    small = ViewLoader(Decoded(pictures), small_pair, BATCH_SIZE, seed=0, num_threads=2, skipped=Skipped())
    images = [Image.fromarray(picture) for picture in pictures]
    together = partial(Together, device=torch.device("cpu"))
    at_once = ViewLoader(
        Decoded(pictures), small_pair, BATCH_SIZE, seed=0, num_threads=2, skipped=Skipped(), executor=together
    )

    compare(
        f"SimCLR pair at 32 px from {len(pictures)} pictures in memory",
        {
            "chiasm": lambda: consume(small, arguments.num_batches),
            "chiasm, batched tensors on the CPU": lambda: consume(at_once, arguments.num_batches),
            "peer: Pillow": lambda: [
                pillow_batch(lambda index: images[index % len(images)], small_pair, step) for step in steps
            ].clear(),
        },
        num_pictures,
        arguments.num_rounds,
    )
    print(f"  chiasm with two threads: {wall_rate(small, arguments.num_batches):.0f} pictures/s of the clock")


if __name__ == "__main__":
    main()
