"""Reference models for the layouts: redrawn, saved as their users would, loaded through `chiasm.load`, compared.

Every comparison enters its largest deviation into a record, from which `docs/models.md` is made.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FLOAT64, FLOAT32 = 1e-9, 1e-5


def redrawn(model: nn.Module, seed: int = 0, deviation: float = 0.2) -> Any:
    """The model in float64 with every floating-point parameter and buffer drawn anew from N(0, deviation).

    Default values hide errors: zeros and ones make whole parts vanish. Buffers of running variances must be positive,
    so theirs are squared and lifted.
    """
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point():
            tensor.data.normal_(0, deviation, generator=generator)
            if name.endswith("running_var"):
                tensor.data.square_().add_(0.5)
    return model


def pixels(height_px: int, width_px: int, batch: int = 2, seed: int = 3) -> Tensor:
    """Pictures of RGB 0 to 255."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 3, height_px, width_px), generator=generator, dtype=torch.uint8)


@dataclass(frozen=True)
class Deviation:
    """One comparison with a reference.

    Attributes:
        layout: name of the layout, as in `weights.layouts`.
        family: what people call the models ("DINOv2").
        reference: library and class that was compared with.
        part: what was compared ("tokens", "text", "tokens at another size").
        float64, float32: largest absolute difference in each precision; None where it was not compared.
    """

    layout: str
    family: str
    reference: str
    part: str
    float64: float | None = None
    float32: float | None = None


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference; shapes must be the same."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float((found.detach().double() - expected.detach().double()).abs().max())


def check(
    layout: str, family: str, reference: str, part: str, *, float64: float | None = None, float32: float | None = None
) -> None:
    """Hold the differences against the limits and enter them into the record."""
    for came, limit in ((float64, FLOAT64), (float32, FLOAT32)):
        assert came is None or came <= limit, f"{family}, {part}: {came:.3g} is more than {limit:g}"
    record = os.environ.get("CHIASM_MODELS_RECORD")
    if record:
        line = json.dumps(asdict(Deviation(layout, family, reference, part, float64, float32)))
        with Path(record).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def unmoved(model: nn.Module, answer: Any, passed_over: tuple[str, ...] = ()) -> list[str]:
    """Weights that can change without the answer changing: parts that are loaded but not used.

    Args:
        model: ours, in float64.
        answer: a function without arguments that returns what the model answers.
        passed_over: beginnings of names that rightly do not matter (a mask token without a mask).
    """
    still = []
    with torch.no_grad():
        before = answer()
        for name, parameter in model.named_parameters():
            if name.startswith(passed_over) and passed_over:
                continue
            saved = parameter.detach().clone()
            # Not by a constant: a norm would take it out again.
            parameter.add_(torch.linspace(0.05, 0.5, parameter.numel(), dtype=parameter.dtype).view_as(parameter))
            if difference(answer(), before) < 1e-7:
                still.append(name)
            parameter.copy_(saved)
    return still
