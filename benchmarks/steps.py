"""Where the time of a training step goes: its share of the matrix ceiling, and what the kinds of operations take.

    python benchmarks/steps.py [--threads 1] [--repeats 5]

Random weights and pictures, so that nothing is decoded or augmented: views as bytes in, forward, backward, clipping and
AdamW, as the engine has them, in float32. ViT-Ti and ViT-S at 64 tokens (SimCLR, 64 px, patches of 8), and ViT-Ti/16 in
DINO (2 views of 224 px, 6 of 96) and MAE (three quarters hidden). The ceiling is the fastest of some matrix products in
the same minutes, by the same clock; with one thread that is the thread's own processor time, so that a busy machine
does not spoil it. Then AdamW in one pass (fused, as the engine has it) against one for each operation.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional
from torch.optim import AdamW
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from chiasm.core.protocols import Objective, ObjectiveConfig
from chiasm.core.views import Views, ViewSpec
from chiasm.data.augment import masks
from chiasm.engine.clipping import clip
from chiasm.engine.optimizer import make_optimizer, set_rates
from chiasm.engine.parallel import Alone
from chiasm.engine.settings import Settings
from chiasm.layers import attention
from chiasm.layers.patch import Linear
from chiasm.objectives import dino, mae, simclr
from chiasm.objectives._crops import Crops
from chiasm.trunks import vit

KINDS = {
    "products": ("mm", "addmm", "mkldnn_linear"),
    "attention": ("bmm", "baddbmm", "softmax", "scaled_dot_product", "flash_attention"),
    "GELU": ("gelu",),
    "norms": ("layer_norm", "batch_norm"),
    "copies": ("copy_", "cat", "clone", "index", "fill_", "zero_"),
    "adds": ("add", "sum", "mul", "mean"),
    "optimiser": ("adamw", "foreach", "lerp"),
}
"""Kinds of operations by what their names contain; the first that fits counts."""


def jobs() -> dict[str, tuple[vit.Config, ObjectiveConfig, int]]:
    """Trunk, objective and pictures of a step, by name."""
    tokens = {"image_size": 64, "patch_size": 8, "stem": Linear()}
    photos = vit.Config(size="tiny", image_size=224, patch_size=16, stem=Linear())
    crops = Crops(num_local=6, local_size_px=96)
    return {
        "ViT-Ti, 64 tokens": (vit.Config(size="tiny", **tokens), simclr.Config(), 64),
        "ViT-S, 64 tokens": (vit.Config(size="small", **tokens), simclr.Config(), 32),
        "DINO, ViT-Ti/16": (photos, dino.Config(crops=crops), 8),
        "MAE, ViT-Ti/16": (photos, mae.Config(), 16),
    }


def random_batch(views: Sequence[ViewSpec], pictures: int) -> Views:
    generator = np.random.default_rng(0)
    images = [torch.randint(0, 256, (pictures, 3, view.size_px, view.size_px), dtype=torch.uint8) for view in views]
    hidden = [None if view.masking is None else masks.sample(view.masking, pictures, generator) for view in views]
    tensors = tuple(None if mask is None else torch.from_numpy(mask) for mask in hidden)
    return Views(tuple(images), torch.arange(pictures), tensors)


def ceiling(clock: Callable[[], float]) -> float:
    """Gigaflops a second of the fastest of some products."""
    best = 0.0
    for rows, width, wider in ((4096, 192, 768), (4096, 384, 1536), (4096, 1024, 4096)):
        one, other = torch.randn(rows, width), torch.randn(wider, width)
        for _ in range(5):
            start = clock()
            functional.linear(one, other)
            best = max(best, 2 * rows * width * wider / (clock() - start) / 1e9)
    return best


def operations(objective: Objective, batch: Views) -> float:
    """Gigaflops of one step, with fused attention, which cannot be counted on a CPU, written out."""
    fused, counter = attention.fused_attention, FlopCounterMode(display=False)
    attention.fused_attention = attention.explicit_attention
    with counter:
        objective(batch, 0.5).total.backward()
    attention.fused_attention = fused
    objective.zero_grad()
    return counter.get_total_flops() / 1e9


def stepper(objective: Objective, batch: Views) -> Callable[[], None]:
    """A whole step, as the engine takes it."""
    settings = Settings()
    optimizer, parallel = make_optimizer(objective.groups(), settings), Alone(objective, torch.device("cpu"))

    def step() -> None:
        objective(batch, 0.5).total.backward()
        clip(objective, settings.clip_by, settings.clip_norm, parallel)
        set_rates(optimizer, settings, 0.5)
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(0.5)

    return step


def least(work: Callable[[], None], repeats: int, clock: Callable[[], float]) -> float:
    """Seconds of the fastest of some repeats, after one that does not count."""
    work()
    spent = []
    for _ in range(repeats):
        start = clock()
        work()
        spent.append(clock() - start)
    return min(spent)


def shares(work: Callable[[], None]) -> str:
    """What each kind of operation takes of the time."""
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        work()
    kinds: Counter[str] = Counter()
    for event in watched.key_averages():
        name = event.key.removeprefix("aten::")
        kinds[next((kind for kind, marks in KINDS.items() if _is_one_of(name, marks)), "rest")] += (
            event.self_cpu_time_total
        )
    whole = kinds.total()
    return ", ".join(f"{kind} {spent / whole:.1%}" for kind, spent in kinds.most_common())


def _is_one_of(name: str, marks: Sequence[str]) -> bool:
    return name in marks or any(len(mark) > 3 and mark in name for mark in marks)


def optimisers(size: vit.Size, repeats: int, clock: Callable[[], float]) -> str:
    """Milliseconds of AdamW over a trunk's weights, in both ways."""
    told = []
    for way in ("fused", "foreach"):
        weights = list(vit.Config(size=size).build().parameters())
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        optimizer = AdamW(weights, fused=way == "fused", foreach=way == "foreach")
        told.append(f"{way} {1e3 * least(optimizer.step, repeats, clock):.1f} ms")
    return ", ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    # The backward pass of one thread's graph runs in a thread of its own: the processor time of the process counts.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for name, (trunk, settings, pictures) in jobs().items():
        objective = settings.build(trunk.build()).train()
        batch = random_batch(objective.views(), pictures)
        gigaflops, limit = operations(objective, batch), ceiling(clock)
        step = stepper(objective, batch)
        seconds = least(step, options.repeats, clock)
        limit = max(limit, ceiling(clock))
        reached = gigaflops / seconds
        print(f"{name}: {reached / limit:.2f} of the ceiling ({reached:.0f} of {limit:.0f} GFLOP/s); {shares(step)}")
    sizes: tuple[vit.Size, ...] = ("tiny", "small")
    for size in sizes:
        print(f"AdamW, ViT {size}: {optimisers(size, options.repeats, clock)}")


if __name__ == "__main__":
    main()
