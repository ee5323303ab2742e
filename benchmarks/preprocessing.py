"""How far our squares are from those of transformers' processors, and what that does to a vector; what decoding costs.

    python benchmarks/preprocessing.py --photos FOLDER [--images 500] [--large 12]

For each processor: the largest and mean difference of a pixel (of 255 levels) over all photos, decoding included, and
the least cosine of the vectors of a CLIP ViT-B/32 with random weights. With a random model all vectors are alike, so
cosines are also given of what is left after the mean of all photos is taken away.

Then photos enlarged to 12 megapixels (JPEG of quality 90), decoded at the scales that several headrooms allow, against
full decoding: differences, cosines, and milliseconds of one core for decoding and for resizing. Enlarged photos hold no
detail finer than the original's pixels; photos of a camera differ somewhat more. Last, the two ways to resize photos
that were decoded in full.

Runs on the processors that need no torchvision.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from chiasm.core.config import Config
from chiasm.data.decode import decode
from chiasm.data.fits import AnyFit
from chiasm.data.reference_fits import ShorterSide
from chiasm.weights.layouts._pictures import CLIP_MEAN, CLIP_STD, fit

SIDE_PX = 224
PROCESSORS: dict[str, dict[str, Any]] = {
    "CLIPImageProcessorPil": {},
    "BitImageProcessorPil": {"size": {"shortest_edge": 256}},
    "ViTImageProcessorPil": {},
    "DeiTImageProcessorPil": {},
    "SiglipImageProcessorPil": {},
    "ConvNextImageProcessorPil": {"size": {"shortest_edge": 224}},
}
HEADROOMS = (1.0, 1.5, 2.0, 3.0, 4.0)


class Chosen(Config):
    """Something that holds a fit, as models do."""

    fit: AnyFit


class Vectors:
    """A CLIP ViT-B/32 with random weights."""

    def __init__(self) -> None:
        import transformers

        torch.manual_seed(0)
        self.model: Any = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig()).eval()

    @torch.inference_mode()
    def __call__(self, squares: list[np.ndarray]) -> np.ndarray:
        mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (CLIP_MEAN, CLIP_STD))
        found = []
        for first in range(0, len(squares), 16):
            pixels = torch.from_numpy(np.stack(squares[first : first + 16])).permute(0, 3, 1, 2)
            found.append(self.model(pixel_values=(pixels / 255 - mean) / std).image_embeds)
        return torch.cat(found).numpy()


def processor_of(name: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """A processor and the fit that our layouts read from its file."""
    import transformers

    processor = getattr(transformers, name)(**settings)
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        stored = json.loads((Path(folder) / "preprocessor_config.json").read_text())
    return processor, Chosen.model_validate({"fit": fit(stored, SIDE_PX, {})}).fit


def reference_square(processor: Any, data: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    made = processor(picture, do_rescale=False, do_normalize=False)["pixel_values"][0]
    return np.asarray(made).astype(np.uint8).transpose(1, 2, 0)


def told(ours: list[np.ndarray], theirs: list[np.ndarray], vectors: Vectors) -> str:
    """Differences of pixels and cosines of vectors, in words."""
    off = [np.abs(one.astype(int) - other) for one, other in zip(ours, theirs, strict=True)]
    largest, mean = max(int(one.max()) for one in off), float(np.mean([one.mean() for one in off]))
    if largest == 0:
        return "equal in every pixel, cosine 1"
    found, expected = vectors(ours), vectors(theirs)
    middle = expected.mean(axis=0)
    plain, centred = cosines(found, expected), cosines(found - middle, expected - middle)
    return f"largest {largest}, mean {mean:.4f}, least cosine {plain.min():.6f}, without the mean {centred.min():.5f}"


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def compare_processors(files: list[Path], vectors: Vectors) -> None:
    for name, settings in PROCESSORS.items():
        processor, made = processor_of(name, settings)
        ours, theirs = [], []
        for file in files:
            data = file.read_bytes()
            ours.append(made(decode(data, file.name, made.min_side_px(made.size_px)), made.size_px))
            theirs.append(reference_square(processor, data))
        print(f"{name:28s}{len(files)} photos: {told(ours, theirs, vectors)}", flush=True)


def enlarged(file: Path) -> bytes:
    picture = Image.open(file).convert("RGB")
    size = (4000, 3000) if picture.width >= picture.height else (3000, 4000)
    kept = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(kept, "JPEG", quality=90)
    return kept.getvalue()


def squares_of(photos: list[bytes], headroom: float | None) -> tuple[list[np.ndarray], float, float]:
    """Squares of photos, and milliseconds of one core for decoding and resizing each."""
    made = ShorterSide(size_px=SIDE_PX, headroom=headroom)
    squares, decoding, resizing = [], 0.0, 0.0
    for data in photos:
        start = time.thread_time()
        picture = decode(data, "photo", made.min_side_px(SIDE_PX))
        decoded = time.thread_time()
        squares.append(made(picture, SIDE_PX))
        decoding, resizing = decoding + decoded - start, resizing + time.thread_time() - decoded
    return squares, 1e3 * decoding / len(photos), 1e3 * resizing / len(photos)


def compare_headrooms(files: list[Path], vectors: Vectors) -> None:
    photos = [enlarged(file) for file in files]
    expected, decoding, resizing = squares_of(photos, None)
    print(f"{len(photos)} photos of 12 megapixels, in full: decoding {decoding:.1f} ms, resizing {resizing:.1f} ms")
    for headroom in HEADROOMS:
        found, decoding, resizing = squares_of(photos, headroom)
        cost = f"decoding {decoding:.1f} ms, resizing {resizing:.1f} ms"
        print(f"  headroom {headroom}: {told(found, expected, vectors)}; {cost}", flush=True)


def compare_ways(files: list[Path]) -> None:
    """Pillow's resize of photos decoded in full and PyTorch's, side by side."""
    exact, swift = ShorterSide(size_px=SIDE_PX, headroom=None), ShorterSide(size_px=SIDE_PX)
    spent, off = {"Pillow": 0.0, "PyTorch": 0.0}, []
    for file in files:
        picture = decode(enlarged(file), file.name)
        squares = []
        for way, made in (("Pillow", exact), ("PyTorch", swift)):
            start = time.thread_time()
            squares.append(made(picture, SIDE_PX).astype(int))
            spent[way] += 1e3 * (time.thread_time() - start) / len(files)
        off.append(np.abs(squares[0] - squares[1]))
    costs = ", ".join(f"{way} {cost:.1f} ms" for way, cost in spent.items())
    share = float(np.mean([(one > 0).mean() for one in off]))
    print(
        f"resizing in full: {costs}, largest difference {max(int(one.max()) for one in off)} in {share:.2%} of values"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--large", type=int, default=12)
    options = parser.parse_args()
    files = sorted(options.photos.glob("*.jpg"))
    vectors = Vectors()
    compare_processors(files[: options.images], vectors)
    compare_headrooms(files[: options.large], vectors)
    compare_ways(files[: options.large])


if __name__ == "__main__":
    main()
