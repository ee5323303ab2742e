"""DINOv2, with and without registers, as transformers stores it (`Dinov2Model`, `Dinov2WithRegistersModel` ...).

Read by `model_type` dinov2 or dinov2_with_registers. A head for classes reads the class token and the mean of the
patches. For pictures of another size than the positions were made for, the reference smooths the table where it shrinks
if there are registers, and does not if there are none; neither shifts it, as the first published code does.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import parted, positions_apart
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._transformers import VIT, assembled, classifier, hiding, mlp, shape, trunk_weights

# What the reference takes where a config.json has no such key; where the two differ, each its own.
_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": 224,
    "num_channels": 3,
    "qkv_bias": True,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
}
_WITHOUT, _WITH = "dinov2", "dinov2_with_registers"
_OWN_DEFAULTS: dict[str, dict[str, Any]] = {
    _WITHOUT: {"patch_size": 14, "num_register_tokens": 0},
    _WITH: {"patch_size": 16, "num_register_tokens": 4},
}
_RULES = ((r"^dinov2(_with_registers)?\.", ""), *VIT)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a DINOv2 of transformers."""
    return checkpoint.settings.get("model_type") in _OWN_DEFAULTS


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head."""
    kind = checkpoint.settings["model_type"]
    settings = _DEFAULTS | _OWN_DEFAULTS[kind] | dict(checkpoint.settings)
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "vit",
            **shape(settings),
            "num_register_tokens": settings["num_register_tokens"],
            "positions": {"kind": "learned", "resampling": {"antialias": kind == _WITH}},
            "mlp": _mlp(settings),
            "qkv_bias": settings["qkv_bias"],
            "layer_scale": settings["layerscale_value"],
            "hiding": hiding(checkpoint),
            **channels(checkpoint.processor, IMAGENET_MEAN, IMAGENET_STD),
        },
        "fit": fit(checkpoint.processor, shape(settings)["image_size"], {"kind": "centre_crop", "share": 0.875}),
    }
    if "classifier.weight" not in checkpoint.shapes:
        return Reading("encoder", encoder)
    return classifier(checkpoint, encoder | {"pool": {"by": {"kind": "class_and_mean"}}})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    del reading
    head, rest = parted(tensors, "classifier.")
    return assembled(positions_apart(trunk_weights(rest, _RULES)), head)


def _mlp(settings: dict[str, Any]) -> dict[str, Any]:
    if settings["use_swiglu_ffn"]:
        return {"kind": "swiglu", "mlp_ratio": settings["mlp_ratio"]}
    return mlp(settings["hidden_act"], int(settings["hidden_size"] * settings["mlp_ratio"]))
