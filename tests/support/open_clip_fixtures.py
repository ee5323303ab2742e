"""What open_clip answered: the folders of `tests/fixtures/open_clip`, which the scripts beside it make."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm.core.files import read_json, write_json
from chiasm.models.dual_encoder import DualEncoder

FIXTURES = Path(__file__).parents[1] / "fixtures" / "open_clip"
CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


def answers(case: str) -> dict[str, torch.Tensor]:
    with np.load(FIXTURES / case / "answers.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def exactly(model: DualEncoder, images: torch.Tensor) -> torch.Tensor:
    """Pixels normalised in float64, as they were for the stored answers; ours are in float32."""
    mean, std = (torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1) for numbers in _channels(model))
    return (images.double() / 255 - mean) / std


def _channels(model: DualEncoder) -> tuple[Any, Any]:
    settings = model.config.model_dump()["image"]["trunk"]
    return settings["mean"], settings["std"]


def copied(case: str, folder: Path, **changes: Any) -> Path:
    """A case in another folder, with other settings of its model."""
    for name in (CONFIG, WEIGHTS):
        shutil.copy(FIXTURES / case / name, folder)
    settings = read_json(folder / CONFIG, "settings")
    for key, values in changes.items():
        kept = settings["model_cfg"].get(key)
        settings["model_cfg"][key] = {**kept, **values} if isinstance(kept, dict) else values
    write_json(folder / CONFIG, settings)
    return folder
