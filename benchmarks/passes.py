"""Where the time of encoding goes: pictures per pass, kinds of operations, and the small works around them.

    python benchmarks/passes.py

Trunks of the shapes of CLIP ViT-B/32 and DINOv2-S with random weights, float32, one thread. For several numbers of
pictures a pass: milliseconds of a picture in the program and in the system, and how often memory had to be fetched from
the system (page faults of 4 KiB). Then the share of each kind of operation at 8 a pass, the quick GELU as it is written
for training and for answering, and the digest that the cache knows a picture by.
"""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from chiasm.layers.mlp import QuickGelu
from chiasm.models import encoder
from chiasm.models.encoder import Encoder
from chiasm.trunks import vit

PASSES = (4, 8, 16, 32, 64)
PICTURES = 64
ROUNDS = 2


def trunks() -> dict[str, Encoder]:
    clip = {"embed_dim": 768, "depth": 12, "num_heads": 12, "patch_size": 32, "mlp": {"kind": "gelu_quick"}}
    dino = {"embed_dim": 384, "depth": 12, "num_heads": 6, "patch_size": 14, "layer_scale": 1.0}
    shapes = {"CLIP ViT-B/32": {**clip, "pre_norm": True}, "DINOv2-S": dino}
    return {name: encoder.Config(trunk=vit.Config.parse(one, name)).build().eval() for name, one in shapes.items()}


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 224, 224, 3), dtype=torch.uint8).permute(0, 3, 1, 2)


def cost(model: Encoder, per_pass: int) -> tuple[float, float, float]:
    """Milliseconds in the program, in the system, and page faults, of a picture; best of some rounds."""
    images = pictures(per_pass)
    rounds = []
    model(images)
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(PICTURES // per_pass):
            model(images)
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent = (after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)
        faults = after.ru_minflt - before.ru_minflt
        rounds.append((1e3 * spent[0] / PICTURES, 1e3 * spent[1] / PICTURES, faults / PICTURES))
    return min(rounds, key=lambda one: one[0] + one[1])


def shares(model: Encoder) -> str:
    images = pictures(8)
    model(images)
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        model(images)
    times = {event.key: event.self_cpu_time_total for event in watched.key_averages()}
    whole = sum(times.values())
    largest = sorted(times.items(), key=lambda item: -item[1])[:7]
    return ", ".join(f"{name.removeprefix('aten::')} {spent / whole:.1%}" for name, spent in largest)


def best(work: Callable[[], object], times: int = 20) -> float:
    """Milliseconds of this thread."""
    spent = []
    for _ in range(times):
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return 1e3 * min(spent)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        for name, model in trunks().items():
            print(name)
            for per_pass in PASSES:
                program, system, faults = cost(model, per_pass)
                print(
                    f"  {per_pass:3d} a pass: {program:6.1f} ms + {system:5.1f} ms in the system, {faults:6.0f} faults"
                )
            print(f"  at 8: {shares(model)}")
    tokens = torch.randn(16, 50, 3072)
    with torch.inference_mode():
        answering = best(lambda: QuickGelu()(tokens))
        plain = best(lambda: tokens * torch.sigmoid(1.702 * tokens))
    print(f"quick GELU of 800 x 3,072 numbers: {plain:.1f} ms with three new tensors, {answering:.1f} ms with one")
    square = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    ours, other = (best(lambda make=make: make(square.data).digest()) for make in (hashlib.sha256, hashlib.blake2b))
    print(f"digest of a square of 224 px: SHA-256 {ours:.3f} ms, BLAKE2b {other:.3f} ms")


if __name__ == "__main__":
    main()
