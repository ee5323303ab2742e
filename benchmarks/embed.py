"""Embedding a folder: chiasm against transformers and ONNX Runtime, the same weights, large photos and small ones.

    python benchmarks/embed.py --photos FOLDER [--peer-python env/bin/python]

Weights are random: CLIP ViT-B/32 and DINOv2-S as transformers builds them, saved once. Large photos are the given ones
enlarged to 12 megapixels (JPEG of quality 90), small ones are the given ones. Every contender is a process of its own
and all take turns; each tells the seconds from loaded model to last vector, pictures decoded included, and its peak
memory. The peers run under `--peer-python`, where torchvision, onnxruntime and onnxscript may live that chiasm does
without; a peer whose library is missing is named and left out. Vectors are compared with the first peer's.

    transformers   processor and model in float32, 32 pictures at a time, as its documentation shows
    bf16           the same in bfloat16, pictures prepared by a DataLoader with two workers
    onnxruntime    the exported model in float32, pictures decoded and resized by Pillow

The ceiling is the speed of the model's commonest matrix product alone, in either precision, on all cores.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LARGE = (4000, 3000)
BATCH_SIZE = 32
PEERS = ("transformers", "bf16", "onnxruntime")
MODELS = ("CLIP ViT-B/32", "DINOv2-S")


@dataclass(frozen=True)
class Outcome:
    """What a contender tells of its run.

    Attributes:
        seconds: of the clock, from loaded model to last vector.
        core_seconds: of all processors together, loading included: what a busy machine distorts least.
        num_pictures: that were embedded.
        peak_mib: of memory.
    """

    seconds: float
    core_seconds: float
    num_pictures: int
    peak_mib: float


def enlarged(file: Path, folder: Path) -> None:
    picture = Image.open(file).convert("RGB")
    longer, shorter = LARGE
    size = (longer, shorter) if picture.width >= picture.height else (shorter, longer)
    picture.resize(size, Image.Resampling.BICUBIC).save(folder / file.with_suffix(".jpg").name, quality=90)


def pictures_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


def library(name: str) -> Any:
    """A library of the peers, which need not be installed here."""
    return importlib.import_module(name)


def make_models(folder: Path) -> None:
    """Random models of transformers, with the settings of their processors; runs under the peer's Python."""
    import torch

    transformers = library("transformers")

    torch.manual_seed(0)
    clip = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig())
    shape = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518, "patch_size": 14}
    dino = transformers.Dinov2Model(transformers.Dinov2Config(**shape))
    # ImageNet's numbers and a resize to 256 px are what DINOv2 was published with.
    imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    processors = (
        transformers.CLIPImageProcessorPil(),
        transformers.BitImageProcessorPil(size={"shortest_edge": 256}, **imagenet),
    )
    for name, model, processor in zip(MODELS, (clip, dino), processors, strict=True):
        where = folder / name.replace("/", "-")
        model.save_pretrained(where)
        processor.save_pretrained(where)


def reference(model: Path) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Model and processor of transformers, and how its answer becomes vectors."""
    transformers = library("transformers")
    processor = transformers.AutoImageProcessor.from_pretrained(model)
    if "CLIP" in model.name:
        loaded = transformers.CLIPVisionModelWithProjection.from_pretrained(model)
        return loaded.eval(), processor, lambda answer: answer.image_embeds
    return transformers.AutoModel.from_pretrained(model).eval(), processor, lambda answer: answer.pooler_output


def run_chiasm(model: Path, photos: Path) -> tuple[np.ndarray, float]:
    from chiasm.data.open import open_source
    from chiasm.serve.encoder import open_encoder

    encoder = open_encoder(str(model))
    source = open_source(str(photos))
    start = time.perf_counter()
    vectors = encoder.embed(source).vectors
    seconds = time.perf_counter() - start
    print_operations(encoder)
    return vectors, seconds


def print_operations(encoder: Any) -> None:
    """Operations of one picture, counted by PyTorch, for the share of the ceiling."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    part = encoder.model.encoder
    side = part.fit.side_px(part.trunk.image_size)
    with torch.inference_mode(), counter:
        part(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    print(json.dumps({"gflops_per_picture": counter.get_total_flops() / 1e9}))


def run_transformers(model: Path, photos: Path) -> tuple[np.ndarray, float]:
    import torch

    loaded, processor, vectors_of = reference(model)
    files = pictures_in(photos)
    found = []
    start = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, len(files), BATCH_SIZE):
            images = [Image.open(file).convert("RGB") for file in files[first : first + BATCH_SIZE]]
            found.append(vectors_of(loaded(**processor(images=images, return_tensors="pt"))).numpy())
    return np.concatenate(found), time.perf_counter() - start


class Prepared:
    """A data set for a DataLoader: one prepared picture an item."""

    def __init__(self, files: list[Path], processor: Any) -> None:
        self.files = files
        self.processor = processor

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        image = Image.open(self.files[index]).convert("RGB")
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]


def run_bf16(model: Path, photos: Path) -> tuple[np.ndarray, float]:
    import torch
    from torch.utils.data import DataLoader

    loaded, processor, vectors_of = reference(model)
    loaded = loaded.to(torch.bfloat16)
    data: Any = Prepared(pictures_in(photos), processor)
    start = time.perf_counter()
    with torch.inference_mode():
        loader = DataLoader(data, BATCH_SIZE, num_workers=2)
        found = [vectors_of(loaded(pixel_values=batch.to(torch.bfloat16))).float().numpy() for batch in loader]
    return np.concatenate(found), time.perf_counter() - start


def pillow_square(file: Path, settings: dict[str, Any]) -> np.ndarray:
    """Decoded, resized and cropped by Pillow, normalised by numpy: the way of most ONNX examples."""
    image = Image.open(file).convert("RGB")
    short = settings["size"]["shortest_edge"]
    scale = short / min(image.size)
    width, height = max(short, int(image.width * scale)), max(short, int(image.height * scale))
    side = settings["crop_size"]["height"]
    left, top = (width - side) // 2, (height - side) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    mean, std = np.float32(settings["image_mean"]), np.float32(settings["image_std"])
    return ((np.asarray(resized, np.float32) / 255 - mean) / std).transpose(2, 0, 1)


def export(model: Path) -> None:
    """The model as an ONNX file beside its weights, unless it is there."""
    import torch

    if (model / "model.onnx").exists():
        return
    loaded, _, vectors_of = reference(model)

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = loaded

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return vectors_of(self.inner(pixel_values=pixel_values))

    program = torch.onnx.export(
        Vectors().eval(),
        (torch.zeros(2, 3, 224, 224),),
        dynamo=True,
        input_names=["pixel_values"],
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch", min=1, max=64)}},
    )
    if program is not None:
        program.save(str(model / "model.onnx"))


def run_onnxruntime(model: Path, photos: Path) -> tuple[np.ndarray, float]:
    onnxruntime = library("onnxruntime")
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
    settings = json.loads((model / "preprocessor_config.json").read_text())
    files = pictures_in(photos)
    found = []
    start = time.perf_counter()
    for first in range(0, len(files), BATCH_SIZE):
        batch = np.stack([pillow_square(file, settings) for file in files[first : first + BATCH_SIZE]])
        found.append(np.asarray(session.run(None, {"pixel_values": batch})[0]))
    return np.concatenate(found), time.perf_counter() - start


CONTENDERS = {
    "chiasm": run_chiasm,
    "transformers": run_transformers,
    "bf16": run_bf16,
    "onnxruntime": run_onnxruntime,
}


def work(contender: str, model: Path, photos: Path, vectors: Path) -> None:
    """One contender's run, told as JSON; runs in a process of its own."""
    found, seconds = CONTENDERS[contender](model, photos)
    np.save(vectors, found)
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # Workers of a DataLoader count as well; two of them run side by side.
    peak = own.ru_maxrss + (2 * children.ru_maxrss if contender == "bf16" else 0)
    cores = sum(one.ru_utime + one.ru_stime for one in (own, children))
    print(json.dumps(asdict(Outcome(seconds, cores, len(found), peak / 1024))))


def ceiling() -> dict[str, float]:
    """Gigaflops a second of 1,600 tokens through a layer of 768 x 3,072, best of ten."""
    import torch

    speeds = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        tokens, weight = torch.randn(1600, 768).to(dtype), torch.randn(3072, 768).to(dtype)
        best = float("inf")
        for _ in range(10):
            start = time.perf_counter()
            torch.nn.functional.linear(tokens, weight)
            best = min(best, time.perf_counter() - start)
        speeds[name] = 2 * 1600 * 768 * 3072 / best / 1e9
    return speeds


def started(python: str, *words: str) -> dict[str, Any] | str:
    """Run this file in another process; its last lines of JSON, or the last line of its complaint."""
    # Sleeping instead of spinning threads for all, as the command chiasm has it.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run([python, __file__, *words], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    answer: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            answer |= json.loads(line)
    return answer


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (one, other))
    return float((one * other).sum(axis=1).min())


def compare(python: str, model: Path, photos: Path, rounds: int, limit: float, scratch: Path) -> None:
    """All contenders in turn, the best of several rounds of each, as a table."""
    best: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for _ in range(rounds):
        for name in CONTENDERS:
            if name in left_out:
                continue
            runner = sys.executable if name == "chiasm" else python
            vectors = scratch / f"{name}.npy"
            answer = started(runner, "--worker", name, str(model), str(photos), str(vectors))
            if isinstance(answer, str):
                left_out[name] = answer
            elif name not in best or answer["seconds"] < best[name]["seconds"]:
                best[name] = answer
    flops = best["chiasm"]["gflops_per_picture"]
    for name, answer in best.items():
        rate = answer["num_pictures"] / answer["seconds"]
        cosine = ""
        if "transformers" in best:
            same = least_cosine(np.load(scratch / f"{name}.npy"), np.load(scratch / "transformers.npy"))
            cosine = f"least cosine {same:.5f}"
        print(
            f"  {name:14s}{answer['seconds']:8.1f} s {rate:7.2f} pictures/s {answer['core_seconds']:8.1f} core-seconds "
            f"{answer['peak_mib']:6.0f} MiB "
            f"{rate * flops / limit:5.0%} of the ceiling  {cosine}"
        )
    for name, why in left_out.items():
        print(f"  {name} is left out: {why}")
    ours = best["chiasm"]["seconds"]
    print("  chiasm is " + ", ".join(f"{best[name]['seconds'] / ours:.2f} x {name}" for name in PEERS if name in best))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--images", type=int, default=300, help="large photos; five thirds as many small ones")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        contender, *paths = options.worker
        work(contender, *map(Path, paths))
    elif options.make:
        make_models(options.make)
    elif options.export:
        export(options.export)
    else:
        run(options)


def run(options: argparse.Namespace) -> None:
    if options.photos is None:
        raise SystemExit("--photos is needed: a folder of JPEGs")
    files = pictures_in(options.photos)
    num_small = min(len(files), options.images * 5 // 3)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        large, small = scratch / "large", scratch / "small"
        for place in (large, small):
            place.mkdir()
        for file in files[:num_small]:
            (small / file.name).symlink_to(file.resolve())
        with ProcessPoolExecutor() as pool:
            list(pool.map(partial(enlarged, folder=large), files[: options.images]))
        made = started(options.peer_python, "--make", str(scratch))
        if isinstance(made, str):
            raise SystemExit(f"transformers is needed: {made}")
        limits = ceiling()
        print("matrix ceiling: " + ", ".join(f"{name} {speed:.0f} GFLOP/s" for name, speed in limits.items()))
        for name in MODELS:
            model = scratch / name.replace("/", "-")
            exported = started(options.peer_python, "--export", str(model))
            if isinstance(exported, str):
                print(f"no export of {name}: {exported}")
            for what, photos in (("large", large), ("small", small)):
                print(f"{name}, {len(pictures_in(photos))} {what} photos")
                compare(options.peer_python, model, photos, options.rounds, limits["float32"], scratch)


if __name__ == "__main__":
    main()
