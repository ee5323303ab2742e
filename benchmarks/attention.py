"""Where explicit products stop being faster than PyTorch's fused attention on a CPU, and how exact bfloat16 is.

    python benchmarks/attention.py --threads 2

Prints, for each precision and sequence length, the time of `fused_attention` over that of `explicit_attention` (above
1: explicit is faster), forward alone, forward + backward, and forward + backward where every token sees only those
before it and no padding, as in texts; and the longest length at which explicit wins training; then the error of both
in bfloat16 against float64. The two are run in turns and the least time of each counts; with one thread the clock is
the thread's own processor time, so that a busy machine does not spoil it.

Operands are what an attention layer hands over under bfloat16 autocast: already in bfloat16. Without a bfloat16 unit
the explicit products are emulated and slow, `attend` does not take them, and two lengths suffice to show why.

Seen on two cores of an AMD EPYC with AVX2 (PyTorch 2.13, 3 heads of 64, float32), forward + backward: two threads 1.6
at 17 tokens, 1.3 at 65, 1.2 at 145, 1.1 at 197, 0.9 at 401; one thread 1.1 at 17 and 65, 0.9 at 145 and 197. Forward
alone: two threads 1.4 at 17, 1.0 at 65, 0.9 at 197; one thread 0.8 to 0.9 almost throughout. Errors in bfloat16: fused
2.1e-3, explicit 3.9e-3 (65 tokens).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from chiasm.layers.attention import EXPLICIT_UP_TO, explicit_attention, fused_attention

Way = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
LENGTHS = (16, 17, 37, 64, 65, 101, 145, 197, 257, 401, 577)
LENGTHS_WITHOUT_UNIT = (17, 65)
TOKENS_PER_BATCH = 2048


def operands(length: int, heads: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as an attention layer cuts them from one product."""
    batch = max(1, TOKENS_PER_BATCH // length)
    joint = torch.randn(batch, length, 3 * heads * width).to(dtype).requires_grad_()
    parts = joint.unflatten(-1, (3, heads, width)).permute(2, 0, 3, 1, 4).unbind(0)
    return parts[0], parts[1], parts[2]


def text_mask(length: int) -> Tensor:
    """Which tokens see which in texts of which some are shorter."""
    batch = max(1, TOKENS_PER_BATCH // length)
    ends = torch.randint(length // 2, length + 1, (batch, 1, 1, 1))
    return torch.ones(length, length, dtype=torch.bool).tril() & (torch.arange(length) < ends)


def forward(way: Way, parts: tuple[Tensor, Tensor, Tensor], seen: Tensor | None) -> None:
    with torch.no_grad():
        way(*parts, seen)


def training(way: Way, parts: tuple[Tensor, Tensor, Tensor], seen: Tensor | None) -> None:
    mixed = way(*parts, seen).transpose(1, 2).flatten(2)
    torch.autograd.grad(mixed, parts, torch.ones_like(mixed))


def ratio(
    run: Callable[[Way, tuple[Tensor, Tensor, Tensor], Tensor | None], None],
    parts: tuple[Tensor, Tensor, Tensor],
    seen: Tensor | None,
    repeats: int,
    clock: Callable[[], float],
) -> float:
    """Least time of the fused way over least time of the explicit one."""
    best = {fused_attention: float("inf"), explicit_attention: float("inf")}
    for _ in range(repeats):
        for way in best:
            start = clock()
            run(way, parts, seen)
            best[way] = min(best[way], clock() - start)
    return best[fused_attention] / best[explicit_attention]


def crossover(ratios: dict[int, float]) -> int:
    """Longest length at which explicit products win; 0 for none."""
    return max((length for length, gain in ratios.items() if gain >= 1), default=0)


def errors(length: int, heads: int, width: int) -> dict[str, float]:
    """Root mean square error of each way in bfloat16, relative to the size of the float64 answer."""
    exact = operands(length, heads, width, torch.bfloat16)
    with torch.no_grad():
        truth = fused_attention(*(part.double() for part in exact))
        answers = {way.__name__: way(*exact).double() for way in (fused_attention, explicit_attention)}
    return {name: float((answer - truth).norm() / truth.norm()) for name, answer in answers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--repeats", type=int, default=9)
    settings = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(settings.threads)
    clock = time.thread_time if settings.threads == 1 else time.perf_counter
    units = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if torch.cpu.get_capabilities().get(name)]
    print(f"{settings.heads} heads of {settings.width}, {settings.threads} threads, bfloat16 units: {units or 'none'}")
    for dtype in (torch.float32, torch.bfloat16):
        print(f"\n{dtype}: fused / explicit\n length  forward  forward+backward  of texts")
        gains = {}
        for length in LENGTHS if dtype == torch.float32 or units else LENGTHS_WITHOUT_UNIT:
            parts = operands(length, settings.heads, settings.width, dtype)
            alone = ratio(forward, parts, None, settings.repeats, clock)
            gains[length] = ratio(training, parts, None, settings.repeats, clock)
            masked = ratio(training, parts, text_mask(length), settings.repeats, clock)
            print(f"{length:7d}  {alone:7.2f}  {gains[length]:16.2f}  {masked:8.2f}", flush=True)
        print(f"explicit products last win training at {crossover(gains)} tokens (set: up to {EXPLICIT_UP_TO})")
    print("\nrelative error in bfloat16 against float64")
    for length in (17, 65, 197):
        found = errors(length, settings.heads, settings.width)
        print(f"{length:7d}  " + "  ".join(f"{name} {error:.2e}" for name, error in found.items()))


if __name__ == "__main__":
    main()
