"""Swin as transformers stores it (`SwinModel`, `SwinForImageClassification`, `SwinForMaskedImageModeling`)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import parted
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._swin import settings_of, trunk, weights
from chiasm.weights.layouts._transformers import assembled, classifier

_RULES = ((r"\.attention\.(?:relative_position_bias\.)?relative_position_bias_table$", ".attention.bias.table"),)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a Swin transformer of transformers."""
    return checkpoint.settings.get("model_type") == "swin"


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head."""
    settings = settings_of(checkpoint)
    alike = trunk(settings, checkpoint)
    encoder: dict[str, Any] = {
        "trunk": {
            **alike,
            "attention": {"kind": "dot_product", "qkv_bias": settings["qkv_bias"]},
            **channels(checkpoint.processor, IMAGENET_MEAN, IMAGENET_STD),
        },
        "pool": {"by": {"kind": "mean_patches"}},
        "fit": fit(checkpoint.processor, alike["image_size"], {"kind": "squash"}),
    }
    has_head = "classifier.weight" in checkpoint.shapes
    return classifier(checkpoint, encoder) if has_head else Reading("encoder", encoder)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    del reading
    head, rest = parted(tensors, "classifier.")
    return assembled(weights(rest, _RULES), head)
