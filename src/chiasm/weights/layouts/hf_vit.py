"""ViT, DINO and MAE as transformers stores them (`ViTModel`, `ViTForImageClassification`, `ViTMAEModel` ...).

Read by `model_type` vit or vit_mae; DINO and DeiT without distillation are published as vit. Decoders (MAE, masked
image modelling) are for training and are left out, and so is the pooler: the class token before it is what published
heads read. MAE stores its sine-cosine positions; they are read like learned ones, so that they are its own to the last
bit.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import parted, positions_apart
from chiasm.weights.layouts._pictures import HALF, IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._transformers import VIT, assembled, classifier, hiding, mlp, shape, trunk_weights

# What the reference takes where a config.json has no such key; the same for both.
_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "qkv_bias": True,
}
# Of the pictures that the models were made for, where no processor says it.
_CHANNELS = {"vit": (HALF, HALF), "vit_mae": (IMAGENET_MEAN, IMAGENET_STD)}
_RULES = ((r"^vit\.", ""), *VIT)
_IGNORED = (r"(vit\.)?pooler\..*", r"decoder\..*")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a ViT or a MAE of transformers."""
    return checkpoint.settings.get("model_type") in _CHANNELS


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head."""
    settings = _DEFAULTS | dict(checkpoint.settings)
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "vit",
            **shape(settings),
            "mlp": mlp(settings["hidden_act"], settings["intermediate_size"]),
            "qkv_bias": settings["qkv_bias"],
            "hiding": hiding(checkpoint),
            **channels(checkpoint.processor, *_CHANNELS[settings["model_type"]]),
        },
        "fit": fit(checkpoint.processor, shape(settings)["image_size"], {"kind": "squash"}),
    }
    has_head = "classifier.weight" in checkpoint.shapes
    return classifier(checkpoint, encoder) if has_head else Reading("encoder", encoder)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    del reading
    head, rest = parted(tensors, "classifier.")
    return assembled(positions_apart(trunk_weights(rest, _RULES, _IGNORED)), head)
