"""Crops of two sizes through a ViT's blocks: all in one row against one pass for each size; and dropped pictures.

    python benchmarks/packing.py [--threads 2] [--device cpu]

Two global and six local crops of each picture, forward + backward, float32; the two ways take turns and the least time
of each counts. Above 1, the row is faster. Then what it brings not to compute the branches that drop path drops,
against computing and zeroing them. With one thread the clock is the thread's own processor time, so that a busy machine
does not spoil it.

Seen on two cores of an AMD EPYC with AVX2 (PyTorch 2.13), a row against two passes, ViT-Ti, 65 and 17 or 37 tokens,
batches of 8 and 32: 0.97 to 0.99 with one thread, 0.97 to 1.03 with two. Left out against zeroed, one thread: ViT-Ti
1.07 at a rate of 0.05, 1.18 at 0.1, 1.46 at 0.3; ViT-S 1.03, 1.10, 1.32.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.core.features import Features
from chiasm.layers.residual import DropPath
from chiasm.trunks import vit

GLOBAL_PX, PATCH_PX = 64, 8
LOCALS_PX = (32, 48)
BATCHES = (8, 32)
RATES = (0.05, 0.1, 0.2, 0.3, 0.4)


class Zeroing(DropPath):
    """Drop path that computes every branch and sets some to zero."""

    def add(self, tokens: Tensor, branch: Callable[..., Tensor], arrangement: Any = None) -> Tensor:
        return tokens + self(branch(tokens, arrangement))


def training(trunk: nn.Module, encode: Callable[[], tuple[Features, ...]]) -> None:
    torch.stack([features.patches.square().mean() for features in encode()]).sum().backward()
    trunk.zero_grad()


def least(ways: Mapping[str, Callable[[], None]], repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Least seconds of each way, in turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for name, way in ways.items():
            start = clock()
            way()
            best[name] = min(best[name], clock() - start)
    return best


def rows(size: vit.Size, device: str, repeats: int, clock: Callable[[], float]) -> None:
    trunk = vit.Config(size=size, image_size=GLOBAL_PX, patch_size=PATCH_PX).build().to(device).train()
    for local_px in LOCALS_PX:
        for batch in BATCHES:
            shapes = ((2 * batch, GLOBAL_PX), (6 * batch, local_px))
            crops = [torch.randn(count, 3, side, side, device=device) for count, side in shapes]

            def encode(packs: bool, crops: list[Tensor] = crops) -> tuple[Features, ...]:
                vit.packing_is_faster = lambda groups: packs
                return trunk.encode_together(crops)

            ways = {
                "row": lambda encode=encode: training(trunk, lambda: encode(True)),
                "passes": lambda encode=encode: training(trunk, lambda: encode(False)),
            }
            best = least(ways, repeats, clock)
            gain = best["passes"] / best["row"]
            print(f"  {GLOBAL_PX} and {local_px} px, batch {batch:3d}: {gain:.2f}", flush=True)


def dropping(size: vit.Size, device: str, repeats: int, clock: Callable[[], float]) -> None:
    images = torch.randn(32, 3, GLOBAL_PX, GLOBAL_PX, device=device)
    for rate in RATES:
        settings = {"image_size": GLOBAL_PX, "patch_size": PATCH_PX, "drop_path": rate, "drop_path_uniform": True}
        leaving = vit.Config(size=size, depth=3, **settings).build().to(device).train()
        zeroing = vit.Config(size=size, depth=3, **settings).build().to(device).train()
        for block in zeroing.blocks:
            block.drop_path = Zeroing(rate)
        trunks = {"left out": leaving, "zeroed": zeroing}
        ways = {name: lambda trunk=trunk: training(trunk, lambda: (trunk(images),)) for name, trunk in trunks.items()}
        best = least(ways, repeats, clock)
        print(f"  drop path of {rate}: {best['zeroed'] / best['left out']:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=4)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)

    def clock() -> float:
        if options.device != "cpu":
            torch.accelerator.synchronize()
        return time.thread_time() if options.threads == 1 and options.device == "cpu" else time.perf_counter()

    sizes: tuple[vit.Size, ...] = ("tiny", "small")
    for size in sizes:
        print(f"ViT {size}: one row against a pass for each size, then left out against zeroed")
        rows(size, options.device, options.repeats, clock)
        dropping(size, options.device, options.repeats, clock)


if __name__ == "__main__":
    main()
