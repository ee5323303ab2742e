"""How many photos a second one core turns into DINO's multi-crop set: chiasm against torchvision and lightly.

    python benchmarks/multicrop.py --photos FOLDER [--peer-python env/bin/python] [--rounds 3]

Two views of 224 px (areas of 0.4 to 1) and eight of 96 px (0.05 to 0.4) of each photo, with flip, colour jitter, grey,
blur (1.0, 0.1 and 0.5) and solarise (0.2 in the second) as the paper has them. From JPEG files to a batch in memory,
decoding included. Every contender is a process of its own with one thread and all take turns; the best round of each
counts, in processor time, so that other work on the machine matters little. The peers run under `--peer-python`, where
torchvision, lightly and lightly-train may live that chiasm does without; a missing one is named and left out.

    chiasm         the training loader; views are bytes, which the model normalises
    normalised     the same, with the views made float32 and normalised on the processor, as the peers' are
    batched        the loader that renders whole batches as tensor operations, here on the processor
    v2 tensors     torchvision's v2 transforms on decoded bytes, as its documentation advises
    v2 Pillow      the same on Pillow images
    lightly        its DINOTransform, on Pillow images
    lightly-train  its DINO transform (albumentations), on its own way of reading, with the paper's areas
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

BATCH_SIZE = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GLOBAL_AREAS, LOCAL_AREAS = (0.4, 1.0), (0.05, 0.4)
NUM_LOCAL = 8
Work = Callable[[int], Sequence[Any]]
"""Makes the batch of one step: one tensor for each view."""


def library(name: str) -> Any:
    """A library of the peers, which need not be installed here."""
    return importlib.import_module(name)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def multicrop_specs() -> tuple[Any, ...]:
    """The paper's views, as chiasm says them."""
    from chiasm.core.views import Blur, ColourJitter, ViewSpec

    jitter = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)

    def view(size_px: int, areas: tuple[float, float], blur: float, solarise: float = 0.0) -> ViewSpec:
        # Sigmas are given for 224 px; the paper's are as many pixels in small views as in large ones.
        times = 224 / size_px
        return ViewSpec(
            size_px=size_px,
            min_area=areas[0],
            max_area=areas[1],
            jitter=jitter,
            blur=Blur(probability=blur, min_sigma_px=0.1 * times, max_sigma_px=2.0 * times),
            solarise=solarise,
        )

    local = view(96, LOCAL_AREAS, 0.5)
    return (view(224, GLOBAL_AREAS, 1.0), view(224, GLOBAL_AREAS, 0.1, 0.2), *[local] * NUM_LOCAL)


def chiasm_loader(folder: Path, **parts: Any) -> Any:
    import cv2

    from chiasm.data.open import open_source
    from chiasm.data.skipped import Skipped
    from chiasm.data.views import ViewLoader

    cv2.setNumThreads(0)
    source = open_source(str(folder))
    return ViewLoader(source, multicrop_specs(), BATCH_SIZE, seed=0, num_threads=1, skipped=Skipped(), **parts)


def chiasm(folder: Path) -> Work:
    loader = chiasm_loader(folder)
    # The loader would work ahead, so batches are asked for one by one.
    return lambda step: loader.batch(step).images


def normalised(folder: Path) -> Work:
    import torch

    loader = chiasm_loader(folder)
    gain = 1 / (255 * torch.tensor(STD)).view(3, 1, 1)
    offset = -(torch.tensor(MEAN) / torch.tensor(STD)).view(3, 1, 1)
    return lambda step: [torch.addcmul(offset, images.float(), gain) for images in loader.batch(step).images]


def batched(folder: Path) -> Work:
    import torch

    from chiasm.data.augment.batched import Together

    loader = chiasm_loader(folder, executor=partial(Together, device=torch.device("cpu")))
    return lambda step: loader.batch(step).images


def peer(read: Callable[[Path], Any], views: Sequence[Callable[[Any], Any]], folder: Path) -> Work:
    """Picture by picture, then stacked view by view, as a DataLoader does."""
    import torch

    files = files_of(folder)

    def batch(step: int) -> Sequence[Any]:
        rows = []
        for place in range(step * BATCH_SIZE, (step + 1) * BATCH_SIZE):
            picture = read(files[place % len(files)])
            rows.append([view(picture) for view in views])
        return [torch.stack(column) for column in zip(*rows, strict=True)]

    return batch


def read_pillow(path: Path) -> Any:
    from PIL import Image

    return Image.open(path).convert("RGB")


def torchvision_views() -> list[Callable[[Any], Any]]:
    torch, v2 = library("torch"), library("torchvision.transforms.v2")

    def view(size: int, areas: tuple[float, float], blur: float, solarise: float = 0.0) -> Any:
        # Nine taps at 224 px are what DINOv2 blurs with; DINO's Pillow blur has no counterpart here.
        jitter, smooth = v2.ColorJitter(0.4, 0.4, 0.2, 0.1), v2.GaussianBlur(9, (0.1, 2.0))
        return v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=areas, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([jitter], 0.8),
                v2.RandomGrayscale(0.2),
                v2.RandomApply([smooth], blur),
                v2.RandomSolarize(128, solarise),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    local = view(96, LOCAL_AREAS, 0.5)
    return [view(224, GLOBAL_AREAS, 1.0), view(224, GLOBAL_AREAS, 0.1, 0.2), *[local] * NUM_LOCAL]


def v2_tensors(folder: Path) -> Work:
    io = library("torchvision.io")
    mode = io.ImageReadMode.RGB
    return peer(lambda path: io.decode_jpeg(io.read_file(str(path)), mode), torchvision_views(), folder)


def v2_pillow(folder: Path) -> Work:
    return peer(read_pillow, torchvision_views(), folder)


def lightly(folder: Path) -> Work:
    transform = library("lightly.transforms.dino_transform").DINOTransform(n_local_views=NUM_LOCAL)
    return peer(read_pillow, transform.transforms, folder)


def lightly_train(folder: Path) -> Work:
    os.environ["LIGHTLY_TRAIN_EVENTS_DISABLED"] = "1"
    parts = library("lightly_train._methods.dino.dino_transform")
    helpers = library("lightly_train._data.file_helpers")
    arguments = parts.DINOTransformArgs(
        num_channels=3,
        random_resize=parts.DINORandomResizedCropArgs(min_scale=GLOBAL_AREAS[0]),
        local_view=parts.DINOLocalViewTransformArgs(
            num_views=NUM_LOCAL,
            random_resize=parts.DINOLocalViewRandomResizedCropArgs(min_scale=LOCAL_AREAS[0], max_scale=LOCAL_AREAS[1]),
        ),
    )
    transform = parts.DINOTransform(arguments)

    def read(path: Path) -> Any:
        return helpers.open_image_numpy(path, mode=helpers.ImageMode.RGB)

    def through(view: Callable[..., Any]) -> Callable[[Any], Any]:
        return lambda picture: view({"image": picture})["image"]

    return peer(read, [through(view) for view in transform.transforms], folder)


CONTENDERS: dict[str, Callable[[Path], Work]] = {
    "chiasm": chiasm,
    "normalised": normalised,
    "batched": batched,
    "v2 tensors": v2_tensors,
    "v2 Pillow": v2_pillow,
    "lightly": lightly,
    "lightly-train": lightly_train,
}
OURS = ("chiasm", "normalised", "batched")


def work(contender: str, folder: Path, num_batches: int) -> None:
    """Photos a second of processor time of one contender, told as JSON; runs in a process of its own."""
    import torch

    torch.set_num_threads(1)
    if contender == "lightly-train":
        library("cv2").setNumThreads(0)
    batch = CONTENDERS[contender](folder)
    sizes = [tuple(images.shape) for images in batch(0)]
    expected = [(BATCH_SIZE, 3, side, side) for side in (224, 224, *[96] * NUM_LOCAL)]
    if sizes != expected:
        raise SystemExit(f"{contender} makes views of {sizes}, not of {expected}")
    start = time.process_time()
    for step in range(1, 1 + num_batches):
        batch(step)
    seconds = time.process_time() - start
    print(json.dumps({"rate": num_batches * BATCH_SIZE / seconds}))


def measured(python: str, contender: str, folder: Path, num_batches: int) -> float | str:
    """The rate of one run in another process, or the last line of its complaint."""
    words = [python, __file__, "--worker", contender, "--photos", str(folder), "--batches", str(num_batches)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])["rate"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--batches", type=int, default=6, help=f"of {BATCH_SIZE} photos, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.photos, options.batches)
        return
    best: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for _ in range(options.rounds):
        for name in CONTENDERS:
            if name in left_out:
                continue
            python = sys.executable if name in OURS else options.peer_python
            rate = measured(python, name, options.photos, options.batches)
            if isinstance(rate, str):
                left_out[name] = rate
            else:
                best[name] = max(rate, best.get(name, 0.0))
    print(f"{len(files_of(options.photos))} photos into 2 views of 224 px and {NUM_LOCAL} of 96 px, one core")
    for name, rate in best.items():
        versus = "   " + ", ".join(f"{ours} {best[ours] / rate:.2f} x" for ours in OURS[:2] if ours != name)
        print(f"  {name:16s}{rate:8.1f} photos/s{versus}")
    for name, why in left_out.items():
        print(f"  {name} is left out: {why}")


if __name__ == "__main__":
    main()
