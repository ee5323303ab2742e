"""What timm answered: the folders of `tests/fixtures/timm`, which `make_timm.py` beside it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FIXTURES = Path(__file__).parents[1] / "fixtures" / "timm"


def answers(name: str) -> dict[str, Tensor]:
    """Pictures and what timm made of them, by part and number of the size."""
    return {key: torch.from_numpy(value) for key, value in np.load(FIXTURES / name / "answers.npz").items()}


def normalised(model: Any, pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures as timm was given them: computed in float64."""
    trunk = model.encoder.trunk
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (trunk.mean, trunk.std))
    return ((pictures.double() / 255 - mean) / std).to(dtype)
