"""One picture, text or token at a time: weights rounded to bfloat16 at every pass against weights that are kept so.

    OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=5000 python benchmarks/single.py [--rounds 40]

Threads wait as those of the command do.

Trunks of random weights under autocast, each asked in turns with itself after `serve._held.held`; then a few vectors
against the table of BLIP's tokens, rounded at every pass against `ops.token_logits`. Milliseconds are medians. On a
processor without a unit for bfloat16 nothing is kept, and the figures tell nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch.nn.functional import linear

from chiasm.models import dual_encoder, encoder, text_encoder
from chiasm.ops.token_logits import token_logits
from chiasm.serve._held import held
from chiasm.trunks import text, vit

SIZES = (("tiny", 64), ("small", 224), ("base", 224))
CLIP_TOKENS = 12
NUM_TOKENS = 30_524
WARMUP = 3


Model = TypeVar("Model")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    print("milliseconds: rounded at every pass, kept, ratio")
    for size, side_px in SIZES:
        rounded, kept = models(size, side_px)
        for count in (1, 8):
            images = torch.randint(0, 256, (count, 3, side_px, side_px), dtype=torch.uint8)
            told(f"ViT {size}, {count} x {side_px} px", rounds, encoding(images), rounded, kept)
    rounded, kept = models("tiny", 64)
    for count in (1, 8, 64):
        tokens = torch.randint(4, 1000, (count, CLIP_TOKENS))
        told(f"texts of CLIP, {count}", rounds, reading(tokens), rounded, kept)
    table = torch.randn(NUM_TOKENS, 768)
    for count in (1, 8, 64):
        vectors = torch.randn(count, 768)
        told(f"tokens of BLIP, {count}", rounds, lambda product, x=vectors: product(x, table), linear, token_logits)


def models(size: str, side_px: int) -> tuple[dual_encoder.DualEncoder, dual_encoder.DualEncoder]:
    """One with the text side of CLIP, and the same with its weights kept in bfloat16."""
    trunk = vit.Config.model_validate({"size": size, "image_size": side_px, "patch_size": 16})
    side = text_encoder.Config(trunk=text.Config(), projection=512)
    config = dual_encoder.Config(image=encoder.Config(trunk=trunk, projection=512), text=side)
    rounded, kept = config.build().eval(), config.build().eval()
    kept.load_state_dict(rounded.state_dict())
    return rounded, held(kept)


def encoding(images: torch.Tensor) -> Callable[[dual_encoder.DualEncoder], object]:
    return lambda model: model.encoder(images)


def reading(tokens: torch.Tensor) -> Callable[[dual_encoder.DualEncoder], object]:
    return lambda model: model.text_encoder(tokens)


def milliseconds(work: Callable[[Model], object], model: Model) -> float:
    """How long something takes."""
    began = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        work(model)
    return 1e3 * (time.perf_counter() - began)


def told(what: str, rounds: int, work: Callable[[Model], object], *both: Model) -> None:
    """Measure two ways in turns."""
    rows = [[milliseconds(work, model) for model in both] for _ in range(rounds + WARMUP)]
    before, after = np.median(np.array(rows[WARMUP:]), axis=0)
    print(f"  {what:24s}{before:8.2f} {after:8.2f}   {before / after:.2f}")


if __name__ == "__main__":
    main()
