"""The ResNet of a hybrid: names inside its blocks, and its sizes as its tensors tell them."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from chiasm.weights.layouts._names import Rules

FEATURES = "patch_embedding.features."
BLOCKS: Rules = tuple(
    (rf"^({re.escape(FEATURES)}stages\.\d+\.\d+)\.{theirs}\.", rf"\1.{ours}.")
    for theirs, ours in (
        ("conv1", "down"),
        ("norm1", "down_norm"),
        ("conv2", "across"),
        ("norm2", "across_norm"),
        ("conv3", "up"),
        ("norm3", "up_norm"),
        (r"downsample\.conv", "shortcut.0"),
        (r"downsample\.norm", "shortcut.1"),
    )
)
"""Inside a block, after its number; timm and transformers name it alike."""


def stem_of(weights: dict[str, Tensor], num_groups: int) -> tuple[dict[str, Any], int]:
    """Settings of a stem, and the side in pixels of what becomes one token.

    Args:
        weights: all tensors under our names.
        num_groups: of the norms, which no tensor tells.
    """
    pattern = re.compile(rf"{re.escape(FEATURES)}stages\.(\d+)\.(\d+)\.up\.weight")
    widths: dict[int, int] = {}
    depths: dict[int, int] = {}
    for name, tensor in weights.items():
        if found := pattern.fullmatch(name):
            stage = int(found[1])
            widths[stage] = tensor.shape[0]
            depths[stage] = depths.get(stage, 0) + 1
    stages = sorted(widths)
    settings = {
        "kind": "resnet",
        "depths": [depths[stage] for stage in stages],
        "widths": [widths[stage] for stage in stages],
        "first_width": weights[f"{FEATURES}first.weight"].shape[0],
        "num_groups": num_groups,
    }
    # The first convolution and the pooling take 4 pixels, the first stage none, each further one twice as many.
    reduction = 4 * 2 ** max(len(stages) - 1, 0)
    return settings, reduction * weights["patch_embedding.projection.weight"].shape[-1]
