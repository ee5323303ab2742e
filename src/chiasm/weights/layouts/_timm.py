"""What timm writes beside its weights, whatever the family: an architecture, settings for pictures, names of classes.

A folder of timm has a `config.json` with `architecture` and, since 2022, `pretrained_cfg`; before, the settings of
`pretrained_cfg` stood beside it. What its user changed in the architecture stands in `model_args`. A single file of
weights has none of it; then these are the settings that ImageNet's classifiers are made with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, timm_fit


def architecture(checkpoint: Checkpoint) -> str:
    """Name of the model as timm has it, without the name of its weights; empty for a single file."""
    return str(checkpoint.settings.get("architecture", "")).partition(".")[0]


def arguments(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """What differs from the named architecture, as far as the file says it."""
    return {key: checkpoint.settings[key] for key in ("global_pool",) if key in checkpoint.settings} | dict(
        checkpoint.settings.get("model_args") or {}
    )


def channels(checkpoint: Checkpoint) -> dict[str, tuple[float, ...]]:
    """The trunk's `mean` and `std`."""
    made_for = _made_for(checkpoint)
    return {
        "mean": tuple(made_for.get("mean") or IMAGENET_MEAN),
        "std": tuple(made_for.get("std") or IMAGENET_STD),
    }


def image_size(checkpoint: Checkpoint) -> int | None:
    """Side in pixels of the pictures that the model was made for; None where nothing says it.

    Raises:
        InputError: they are not square.
    """
    told = arguments(checkpoint).get("img_size") or (_made_for(checkpoint).get("input_size") or ())[1:]
    sides = set(told) if isinstance(told, (list, tuple)) else {told}
    if len(sides) > 1:
        raise InputError("a model for square pictures", f"one for {list(told)} px came", "choose another checkpoint")
    return sides.pop() if sides else None


def fit(checkpoint: Checkpoint, size_px: int) -> dict[str, Any]:
    """How a picture becomes a square of `size_px`; without a word about it, the middle 7/8 of its shorter side."""
    return timm_fit(_made_for(checkpoint), size_px)


def classes(checkpoint: Checkpoint, head: str = "head.weight") -> tuple[str, ...]:
    """Names of the classes of a head, by their numbers where the settings do not name them.

    Args:
        checkpoint: with a head.
        head: name of its weight.
    """
    count = checkpoint.shapes[head][0]
    names = checkpoint.settings.get("label_names") or _made_for(checkpoint).get("label_names") or ()
    numbered = names.items() if isinstance(names, Mapping) else enumerate(names)
    named = {int(number): str(name) for number, name in numbered}
    return tuple(named.get(number, f"class {number}") for number in range(count))


def _made_for(checkpoint: Checkpoint) -> Mapping[str, Any]:
    return checkpoint.settings.get("pretrained_cfg") or checkpoint.settings
