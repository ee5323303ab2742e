"""Embedding patches: a linear map of cut patches against the strided convolution that it equals, on a CPU.

    python benchmarks/patches.py

Prints the convolution's time over the linear map's (above 1: the linear map is faster), forward alone and forward +
backward, in float32 and under bfloat16 autocast. One thread, in turns, the least processor time of each counts.

Seen on a core of an AMD EPYC with AVX2 (PyTorch 2.13): float32 forward 0.6 to 1.5, forward + backward 1.1 to 1.4;
bfloat16 (emulated there) forward 1.2 to 6.7, forward + backward 1.8 to 5.5.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.ops.patches import patchify

SHAPES = ((64, 32, 4, 128), (64, 64, 8, 192), (8, 224, 16, 384), (4, 224, 14, 768))


def least_times(ways: dict[str, Callable[[], Tensor]], autocast: bool, backward: bool) -> dict[str, float]:
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(5):
        for name, way in ways.items():
            start = time.thread_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast), torch.set_grad_enabled(backward):
                tokens = way()
            if backward:
                tokens.backward(torch.ones_like(tokens))
            best[name] = min(best[name], time.thread_time() - start)
    return best


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print("batch  image  patch  width  precision  forward  forward+backward   (convolution / linear)")
    for batch, image_size, patch_size, width in SHAPES:
        images = torch.randn(batch, 3, image_size, image_size)
        weight = torch.randn(width, 3, patch_size, patch_size, requires_grad=True)
        bias = torch.zeros(width, requires_grad=True)

        def convolution(images=images, weight=weight, bias=bias, patch_size=patch_size) -> Tensor:
            return functional.conv2d(images, weight, bias, stride=patch_size).flatten(2).transpose(1, 2)

        def linear(images=images, weight=weight, bias=bias, patch_size=patch_size) -> Tensor:
            return functional.linear(patchify(images, patch_size), weight.flatten(1), bias)

        ways = {"convolution": convolution, "linear": linear}
        for autocast in (False, True):
            gains = []
            for backward in (False, True):
                best = least_times(ways, autocast, backward)
                gains.append(best["convolution"] / best["linear"])
            name = "bfloat16" if autocast else "float32"
            print(f"{batch:5d}  {image_size:5d}  {patch_size:5d}  {width:5d}  {name:>9}  ", end="")
            print(f"{gains[0]:7.2f}  {gains[1]:16.2f}")


if __name__ == "__main__":
    main()
