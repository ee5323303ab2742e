"""ConvNeXt, ConvNeXt V2 and DINOv3's ConvNeXt as transformers stores them (`...Model`, `...ForImageClassification`).

Read by `model_type` convnext, convnextv2 or dinov3_convnext. DINOv3 calls the mean of its tokens, normed, the class
token, and norms the others too; the others norm the mean alone, after pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import Rules, flat_patches, parted, renamed
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._transformers import activation, classifier, require, side_px

# What the reference takes where a config.json has no such key.
_DEFAULTS: dict[str, Any] = {
    "image_size": 224,
    "patch_size": 4,
    "num_channels": 3,
    "hidden_sizes": [96, 192, 384, 768],
    "depths": [3, 3, 9, 3],
    "hidden_act": "gelu",
}
_NORM_EPS = 1e-6
"""Of the norms that the settings do not tell: all of the first two but the last one."""
_LAST_NORM_EPS = {"convnext": 1e-12, "convnextv2": 1e-12, "dinov3_convnext": 1e-6}
"""Of the last norm, where the settings do not tell it."""

_RULES: Rules = (
    (r"^(?:convnext(?:v2)?|model)\.", ""),
    (r"^encoder\.", ""),
    (r"^(?:embeddings\.patch_embeddings|stages\.0\.downsample_layers\.0)\.", "patch_embedding.projection."),
    (r"^(?:embeddings\.layernorm|stages\.0\.downsample_layers\.1)\.", "patch_embedding.norm."),
    (r"\.downsampl(?:ing_layer|e_layers)\.0\.", ".merging.norm."),
    (r"\.downsampl(?:ing_layer|e_layers)\.1\.", ".merging.convolution."),
    (r"^(stages\.\d+)\.layers\.", r"\1.blocks."),
    (r"\.(?:dwconv|depthwise_conv)\.", ".convolution."),
    (r"(blocks\.\d+)\.(?:layernorm|layer_norm)\.", r"\1.norm."),
    (r"\.(?:pwconv1|pointwise_conv1)\.", ".mlp.up."),
    (r"\.(?:pwconv2|pointwise_conv2)\.", ".mlp.down."),
    (r"\.grn\.weight$", ".mlp.activation.1.gain"),
    (r"\.grn\.bias$", ".mlp.activation.1.shift"),
    (r"\.(?:layer_scale_parameter|gamma)$", ".scale.gain"),
)
# Norms of feature pyramids.
_IGNORED = (r"hidden_states_norms\..*",)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a ConvNeXt of transformers."""
    return checkpoint.settings.get("model_type") in _LAST_NORM_EPS


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head.

    Raises:
        InputError: the settings ask for what our ConvNeXt lacks.
    """
    settings = _DEFAULTS | dict(checkpoint.settings)
    require(settings, num_channels=3)
    ends_normed = settings["model_type"] == "dinov3_convnext"
    last_norm_eps = settings.get("layer_norm_eps", _LAST_NORM_EPS[settings["model_type"]])
    image_size = side_px(settings, "image_size")
    has_scale = any(name.endswith((".layer_scale_parameter", ".gamma")) for name in checkpoint.shapes)
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "convnext",
            "embed_dims": settings["hidden_sizes"],
            "depths": settings["depths"],
            "image_size": image_size,
            "patch_size": side_px(settings, "patch_size"),
            "mlp": {"kind": _mlp_kind(settings, checkpoint)},
            "layer_scale": 1.0 if has_scale else None,
            "ending": {"kind": "mean_token" if ends_normed else "bare"},
            "norm_eps": last_norm_eps if ends_normed else _NORM_EPS,
            **channels(checkpoint.processor, IMAGENET_MEAN, IMAGENET_STD),
        },
        "pool": {
            "by": {"kind": "class_token"} if ends_normed else {"kind": "mean_then_norm", "norm_eps": last_norm_eps}
        },
        "fit": fit(checkpoint.processor, image_size, {"kind": "centre_crop", "share": 0.875}),
    }
    has_head = "classifier.weight" in checkpoint.shapes
    return classifier(checkpoint, encoder) if has_head else Reading("encoder", encoder)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under our names: the last norm is the pool's, or for DINOv3 the trunk's."""
    encoder = reading.config.get("encoder", reading.config)
    inside = "image_encoder." if reading.model == "classifier" else ""
    last = "trunk.ending.norm." if encoder["trunk"]["ending"]["kind"] == "mean_token" else "pool.norm."
    head, rest = parted(tensors, "classifier.")
    found = flat_patches(renamed(rest, _RULES, _IGNORED), "patch_embedding.projection.weight")
    # Gains and shifts of response norms have four axes there.
    found = {name: tensor.flatten() if ".activation." in name else tensor for name, tensor in found.items()}
    norm, trunk = parted(found, "layernorm." if "layernorm.weight" in found else "layer_norm.")
    return {
        **{f"{inside}trunk.{name}": tensor for name, tensor in trunk.items()},
        **{f"{inside}{last}{name}": tensor for name, tensor in norm.items()},
        **{f"head.linear.{name}": tensor for name, tensor in head.items()},
    }


def _mlp_kind(settings: Mapping[str, Any], checkpoint: Checkpoint) -> str:
    if not any(".grn." in name for name in checkpoint.shapes):
        return activation(settings["hidden_act"])
    # No published ConvNeXt V2 has another.
    require(settings, hidden_act="gelu")
    return "gelu_response"
