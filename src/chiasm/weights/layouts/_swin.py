"""What the Swin transformers of transformers have in common, first and second version: names and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts._names import Rules
from chiasm.weights.layouts._transformers import BLOCKS, activation, require, side_px, trunk_weights

# What the reference takes where a config.json has no such key; the same for both.
_DEFAULTS: dict[str, Any] = {
    "image_size": 224,
    "patch_size": 4,
    "num_channels": 3,
    "embed_dim": 96,
    "depths": [2, 2, 6, 2],
    "num_heads": [3, 6, 12, 24],
    "window_size": 7,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "hidden_act": "gelu",
    "use_absolute_embeddings": False,
    "layer_norm_eps": 1e-5,
    "pretrained_window_sizes": (),
}
_RULES: Rules = (
    (r"^swin(v2)?\.", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embedding.projection."),
    (r"^embeddings\.norm\.", "patch_embedding.norm."),
    (r"^embeddings\.mask_token$", "hiding.mask_token"),
    (r"^layernorm\.", "norm."),
    (r"^(?:encoder\.)?layers\.", "stages."),
    (r"\.attention\.self\.", ".attention."),
    *BLOCKS,
)
# Formulas that older versions stored; decoders of masked image modelling; norms of feature pyramids.
_IGNORED = (r".*\.relative_(position_index|coords_table)", r"decoder\..*", r"hidden_states_norms\..*")


def settings_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The settings, those that are missing as the reference takes them.

    Raises:
        InputError: pictures are not of three channels, or patches have positions of their own.
    """
    settings = _DEFAULTS | dict(checkpoint.settings)
    require(settings, num_channels=3, use_absolute_embeddings=False)
    return settings


def trunk(settings: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    """Settings of the trunk that both versions have alike.

    Raises:
        InputError: pictures or patches are not square.
    """
    has_token = any(name.endswith("embeddings.mask_token") for name in checkpoint.shapes)
    return {
        "family": "swin",
        "embed_dim": settings["embed_dim"],
        "depths": settings["depths"],
        "num_heads": settings["num_heads"],
        "image_size": side_px(settings, "image_size"),
        "patch_size": side_px(settings, "patch_size"),
        "window_sizes": [settings["window_size"]],
        "mlp": {"kind": activation(settings["hidden_act"]), "mlp_ratio": settings["mlp_ratio"]},
        "hiding": {"kind": "mask_token"} if has_token else None,
        "norm_eps": settings["layer_norm_eps"],
    }


def weights(tensors: dict[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """The trunk's weights under its names.

    Args:
        tensors: all but those of a head.
        rules: what a version calls in its own way, once the rest is renamed.
    """
    found = trunk_weights(tensors, (*_RULES, *rules), _IGNORED)
    return {_merging_first(name): tensor for name, tensor in found.items()}


def _merging_first(name: str) -> str:
    """Merging ends a stage there and begins the next one here."""
    return re.sub(r"^stages\.(\d+)\.downsample\.", lambda found: f"stages.{int(found[1]) + 1}.merging.", name)
