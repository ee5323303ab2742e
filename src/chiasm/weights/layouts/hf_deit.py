"""DeiT with distillation as transformers stores it (`DeiTModel`, `DeiTForImageClassification` and `...WithTeacher`).

Paper: Touvron et al., 2020, arXiv 2012.12877, section 4.
Differs: the distillation token is the trunk's one register. The two heads of a model that was taught by another (one
reads the class token, one the distillation token, and the answer is the mean of their logits) are one linear map of
both tokens, which is the same sum.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import mean_of_heads, parted, positions_apart
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._transformers import VIT, assembled, classifier, hiding, mlp, shape, trunk_weights

# What the reference takes where a config.json has no such key.
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
_RULES = ((r"^deit\.", ""), *VIT)
_IGNORED = (r"(deit\.)?pooler\..*", r"decoder\..*")
_PREFIX = ("prefix.cls_token", "prefix.register_tokens")
_OWN, _TAUGHT = "cls_classifier.", "distillation_classifier."


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a DeiT of transformers."""
    return checkpoint.settings.get("model_type") == "deit"


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head or two."""
    settings = _DEFAULTS | dict(checkpoint.settings)
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "vit",
            **shape(settings),
            "num_register_tokens": 1,
            "mlp": mlp(settings["hidden_act"], settings["intermediate_size"]),
            "qkv_bias": settings["qkv_bias"],
            "hiding": hiding(checkpoint),
            **channels(checkpoint.processor, IMAGENET_MEAN, IMAGENET_STD),
        },
        "fit": fit(checkpoint.processor, shape(settings)["image_size"], {"kind": "centre_crop", "share": 0.875}),
    }
    if f"{_OWN}weight" in checkpoint.shapes:
        both = encoder | {"pool": {"by": {"kind": "class_and_register"}}}
        return classifier(checkpoint, both, f"{_OWN}weight")
    has_head = "classifier.weight" in checkpoint.shapes
    return classifier(checkpoint, encoder) if has_head else Reading("encoder", encoder)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    del reading
    head, rest = parted(tensors, "classifier.")
    own, rest = parted(rest, _OWN)
    taught, rest = parted(rest, _TAUGHT)
    if own.keys() == taught.keys() == {"weight", "bias"}:
        head = mean_of_heads(own, taught)
    return assembled(positions_apart(trunk_weights(rest, _RULES, _IGNORED), prefix=_PREFIX), head)
