"""From the name of a local checkpoint to the vector of its first picture: chiasm against transformers.

    python benchmarks/loading.py [--rounds 5]

The checkpoint is a ViT-B/16 with random weights (330 MB), saved by transformers with its processor. Every measurement
is a fresh process, both take turns, files are in the system's cache; both sleep instead of spin while they wait. Three
spans are told: the call that loads, from this call to the vector of a picture file, and the whole process with its
imports. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image


class Clock:
    """Seconds of the clock and of all cores from the call that loads."""

    def __init__(self) -> None:
        self._start, self._cores = time.perf_counter(), time.process_time()
        self._spans: dict[str, float] = {}

    def loaded(self) -> None:
        self._spans["loading"] = time.perf_counter() - self._start

    def done(self) -> dict[str, float]:
        vector, cores = time.perf_counter() - self._start, time.process_time() - self._cores
        return {**self._spans, "loading to vector": vector, "the same, core-seconds": cores}


def first_vector_chiasm(folder: Path, picture: Path) -> dict[str, float]:
    import torch

    import chiasm
    from chiasm.data.decode import decode
    from chiasm.models.encoder import PictureModel

    clock = Clock()
    model: PictureModel = chiasm.load(str(folder))
    clock.loaded()
    fit = model.encoder.fit
    size_px = fit.side_px(model.encoder.trunk.image_size)
    square = fit(decode(picture.read_bytes(), picture.name, fit.min_side_px(size_px)), size_px)
    with torch.inference_mode():
        model.encoder(torch.from_numpy(np.array(square)).permute(2, 0, 1)[None])
    return clock.done()


def first_vector_transformers(folder: Path, picture: Path) -> dict[str, float]:
    import torch
    from transformers import AutoImageProcessor, AutoModel

    clock = Clock()
    model: Any = AutoModel.from_pretrained(folder)
    processor: Any = AutoImageProcessor.from_pretrained(folder)
    clock.loaded()
    with torch.inference_mode():
        model(**processor(images=Image.open(picture).convert("RGB"), return_tensors="pt")).last_hidden_state[:, 0]
    return clock.done()


CONTENDERS = {"chiasm": first_vector_chiasm, "transformers": first_vector_transformers}


def make(folder: Path) -> None:
    """The checkpoint and a picture."""
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.ViTModel(transformers.ViTConfig()).save_pretrained(folder)
    transformers.ViTImageProcessorPil().save_pretrained(folder)
    noise = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "picture.jpg", quality=90)


def measured(name: str, folder: Path) -> dict[str, float]:
    """Seconds of one fresh process."""
    words = [sys.executable, __file__, "--worker", name, str(folder)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    start = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    whole = time.perf_counter() - start
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "whole process": whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, where = options.worker
        print(json.dumps(CONTENDERS[name](Path(where), Path(where) / "picture.jpg")))
        return
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        make(folder)
        for name in CONTENDERS:
            measured(name, folder)
        rounds = [{name: measured(name, folder) for name in CONTENDERS} for _ in range(options.rounds)]
    for span in rounds[0]["chiasm"]:
        ours, theirs = (median(one[name][span] for one in rounds) for name in CONTENDERS)
        print(
            f"{span:24s} chiasm {ours:6.2f} s, transformers {theirs:6.2f} s, chiasm / transformers {ours / theirs:.2f}"
        )


if __name__ == "__main__":
    main()
