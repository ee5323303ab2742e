"""What a checkpoint says about pictures: how they become squares and which numbers their pixels become.

The settings are those of `preprocessor_config.json`; where a checkpoint has none, its layout says what it was made for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def channels(processor: Mapping[str, Any], mean: Sequence[float], std: Sequence[float]) -> dict[str, tuple[float, ...]]:
    """The trunk's `mean` and `std`: the processor's own, else those given."""
    if not processor.get("do_normalize", True):
        return {"mean": (0.0,) * len(mean), "std": (1.0,) * len(std)}
    return {
        "mean": tuple(processor.get("image_mean", mean)),
        "std": tuple(processor.get("image_std", std)),
    }


def fit(processor: Mapping[str, Any], size_px: int, otherwise: dict[str, Any]) -> dict[str, Any]:
    """How a picture becomes a square of `size_px`: as the processor does it, else as given."""
    size = processor.get("size")
    if size is None:
        return otherwise
    sides = {"shortest_edge": size} if isinstance(size, int) else size
    if "shortest_edge" in sides:
        return {"kind": "centre_crop", "share": min(1.0, size_px / sides["shortest_edge"])}
    return {"kind": "squash"}
