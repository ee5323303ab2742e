"""The hybrid inside a DPT of transformers (`DPTModel`, `DPTForDepthEstimation` with `is_hybrid`): its trunk alone.

Paper: Ranftl et al., 2021, arXiv 2103.13413, section 3 ("ViT-Hybrid").
Differs: what turns tokens into depth or classes of pixels (neck and heads) is left out, and so is the pooler.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading, _resnet
from chiasm.weights.layouts._names import Rules, as_tokens, joined, positions_apart, renamed
from chiasm.weights.layouts._pictures import HALF, channels, fit
from chiasm.weights.layouts._transformers import VIT, mlp, shape

# What the reference takes where a config.json has no such key.
_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "image_size": 384,
    "patch_size": 16,
    "num_channels": 3,
    "qkv_bias": True,
}
_RESNET_DEFAULTS: dict[str, Any] = {
    "num_groups": 32,
    "layer_type": "bottleneck",
    "global_padding": "same",
    "embedding_dynamic_padding": True,
    "hidden_act": "relu",
}
_RULES: Rules = (
    (r"^dpt\.", ""),
    (r"^embeddings\.backbone\.bit\.embedder\.convolution\.", f"{_resnet.FEATURES}first."),
    (r"^embeddings\.backbone\.bit\.embedder\.norm\.", f"{_resnet.FEATURES}first_norm."),
    (r"^embeddings\.backbone\.bit\.encoder\.stages\.(\d+)\.layers\.", rf"{_resnet.FEATURES}stages.\1."),
    *_resnet.BLOCKS,
    (r"^embeddings\.projection\.", "patch_embedding.projection."),
    *VIT,
)
_IGNORED = (r"(dpt\.)?pooler\..*", r"(neck|head|auxiliary_head)\..*")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a DPT of transformers upon a hybrid."""
    return checkpoint.settings.get("model_type") == "dpt" and bool(checkpoint.settings.get("is_hybrid"))


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder.

    Raises:
        InputError: the ResNet is of another kind than the paper's.
    """
    settings = _DEFAULTS | dict(checkpoint.settings)
    blank = {name: torch.empty(shape, device="meta") for name, shape in checkpoint.shapes.items()}
    stem, patch_size = _resnet.stem_of(renamed(blank, _RULES, _IGNORED), _num_groups(settings))
    trunk = {
        "family": "vit",
        **shape(settings),
        "patch_size": patch_size,
        "stem": stem,
        "positions": {"kind": "learned", "resampling": {"mode": "bilinear"}},
        "mlp": mlp(settings["hidden_act"], settings["intermediate_size"]),
        "qkv_bias": settings["qkv_bias"],
        **channels(checkpoint.processor, HALF, HALF),
    }
    return Reading(
        "encoder", {"trunk": trunk, "fit": fit(checkpoint.processor, trunk["image_size"], {"kind": "squash"})}
    )


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names."""
    del reading
    trunk = joined(renamed(tensors, _RULES, _IGNORED), (".q.", ".k.", ".v."), ".query_key_value.")
    trunk = positions_apart(as_tokens(trunk, "prefix.cls_token"))
    return {f"trunk.{name}": tensor for name, tensor in trunk.items()}


def _num_groups(settings: dict[str, Any]) -> int:
    """Of the ResNet's norms."""
    resnet = _RESNET_DEFAULTS | dict(settings.get("backbone_config") or {})
    resnet["global_padding"] = str(resnet["global_padding"]).lower()
    for name, wanted in _RESNET_DEFAULTS.items():
        if name != "num_groups" and resnet[name] != wanted:
            raise InputError(
                f"a backbone_config with {name} {wanted}", f"it is {resnet[name]}", "choose another checkpoint"
            )
    return resnet["num_groups"]
