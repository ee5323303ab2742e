"""DINOv3 ViT as transformers stores it (`DINOv3ViTModel`).

Paper: Simeoni et al., 2025, arXiv 2508.10104.
The rotary angles are a formula; where a file keeps its frequencies, they are left out.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import renamed
from chiasm.weights.layouts._pictures import IMAGENET_MEAN, IMAGENET_STD, channels, fit
from chiasm.weights.layouts._transformers import VIT, assembled, hiding, mlp, require, shape, trunk_weights

# What the reference takes where a config.json has no such key.
_DEFAULTS: dict[str, Any] = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "rope_theta": 100.0,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "query_bias": True,
    "key_bias": False,
    "value_bias": True,
    "proj_bias": True,
    "mlp_bias": True,
    "layerscale_value": 1.0,
    "use_gated_mlp": False,
    "num_register_tokens": 0,
    "pos_embed_shift": None,
    "pos_embed_jitter": None,
    "pos_embed_rescale": 2.0,
}
_BIASES: dict[tuple[Any, ...], dict[str, bool]] = {
    (True, False, True): {"qkv_bias": True, "key_bias": False},
    (True, True, True): {"qkv_bias": True},
    (False, False, False): {"qkv_bias": False},
}
_IGNORED = (r"rope_embeddings\.inv_freq",)
# Where keys have no bias, those of queries and values were not joined.
_APART = ((r"\.q\.bias$", ".query_key_value.query_bias"), (r"\.v\.bias$", ".query_key_value.value_bias"))


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a DINOv3 ViT of transformers."""
    return checkpoint.settings.get("model_type") == "dinov3_vit"


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder.

    Raises:
        InputError: the settings ask for biases or an activation that no published checkpoint has.
    """
    settings = _DEFAULTS | dict(checkpoint.settings)
    require(settings, proj_bias=True, mlp_bias=True)
    trunk = {
        "family": "vit",
        **shape(settings),
        **_biases(settings),
        "num_register_tokens": settings["num_register_tokens"],
        "positions": {
            "kind": "rotary",
            "theta": settings["rope_theta"],
            "shift": settings["pos_embed_shift"] or 0.0,
            "jitter": settings["pos_embed_jitter"] or 1.0,
            "rescale": settings["pos_embed_rescale"] or 1.0,
        },
        "mlp": _mlp(settings),
        "layer_scale": settings["layerscale_value"],
        "hiding": hiding(checkpoint),
        **channels(checkpoint.processor, IMAGENET_MEAN, IMAGENET_STD),
    }
    return Reading(
        "encoder", {"trunk": trunk, "fit": fit(checkpoint.processor, trunk["image_size"], {"kind": "squash"})}
    )


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names."""
    del reading
    return assembled(renamed(trunk_weights(tensors, VIT, _IGNORED), _APART), {})


def _biases(settings: dict[str, Any]) -> dict[str, bool]:
    names = ("query_bias", "key_bias", "value_bias")
    wanted = {name: settings[name] for name in names}
    known = _BIASES.get(tuple(wanted.values()))
    if known is None:
        came = ", ".join(f"{name} {has}" for name, has in wanted.items())
        raise InputError("a bias for queries and values, or for none, in its settings", came, "choose another one")
    return known


def _mlp(settings: dict[str, Any]) -> dict[str, Any]:
    if settings["use_gated_mlp"]:
        require(settings, hidden_act="silu")
        return {"kind": "swiglu", "hidden_dim": settings["intermediate_size"]}
    return mlp(settings["hidden_act"], settings["intermediate_size"])
