"""Swin v2 as transformers stores it (`Swinv2Model`, `Swinv2ForImageClassification`, `...MaskedImageModeling`)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import parted
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._swin import settings_of, trunk, weights
from chiasm.weights.layouts._transformers import assembled, classifier

_RULES = (
    (r"\.attention\.q\.bias$", ".attention.query_key_value.query_bias"),
    (r"\.attention\.v\.bias$", ".attention.query_key_value.value_bias"),
    (r"\.attention\.logit_scale$", ".attention.comparison.log_scale"),
    (r"\.attention\.continuous_position_bias_mlp\.0\.", ".attention.bias.up."),
    (r"\.attention\.continuous_position_bias_mlp\.2\.", ".attention.bias.down."),
    (r"\.(attention|mlp)_norm\.", r".\1_post_norm."),
    (r"\.downsample\.norm\.", ".downsample.post_norm."),
)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a Swin v2 of transformers."""
    return checkpoint.settings.get("model_type") == "swinv2"


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head.

    Raises:
        InputError: at the size that it was made for, a stage has an odd number of tokens a side before it is halved.
    """
    settings = settings_of(checkpoint)
    alike = trunk(settings, checkpoint)
    # There, the reference would take the windows of a smaller grid than the one that they lie on.
    halvings = len(alike["depths"]) - 1
    if alike["image_size"] % (alike["patch_size"] << halvings):
        raise InputError(
            f"an image_size that can be halved {halvings} times after patches of {alike['patch_size']} px",
            f"it is {alike['image_size']}",
            "choose another checkpoint",
        )
    encoder: dict[str, Any] = {
        "trunk": {
            **alike,
            "windows": {"kind": "fixed"},
            "attention": {
                "kind": "cosine",
                "qkv_bias": settings["qkv_bias"],
                "trained_window_sizes": settings["pretrained_window_sizes"],
            },
            "norms": {"kind": "after"},
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
