"""Which numbers to compute with: found on the machine once, and said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]
PrecisionChoice = Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The precision of a run and why it was chosen."""

    precision: Precision
    reason: str


def choose(wish: PrecisionChoice, device: torch.device) -> Numbers:
    """Turn a wish into the precision of a run.

    `auto` takes bfloat16 where the processor multiplies matrices in it (AMX or AVX-512 BF16 on a CPU, or a CUDA device
    that has it) and float32 elsewhere.
    """
    if wish == "bf16":
        return Numbers("bf16-mixed", "bfloat16 was asked for")
    if wish == "fp32":
        return Numbers("32-true", "float32 was asked for")
    fast, what = _bf16_unit(device)
    return Numbers("bf16-mixed" if fast else "32-true", what)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether `auto` takes bfloat16 there."""
    return choose("auto", device).precision == "bf16-mixed"


def _bf16_unit(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name(device)
        return has, f"{name} {'has' if has else 'lacks'} bfloat16"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 BF16"), ("bf16", "BF16 instructions")):
            if capabilities.get(flag):
                return True, f"the processor has {name}"
        return False, "the processor has no bfloat16 unit"
    return False, f"float32 is the safe choice on {device.type}"
