"""ViT, DeiT, DINO and MAE as transformers stores them (`ViTModel`, `ViTForImageClassification`, `ViTMAEModel` ...).

Read by `model_type` vit or vit_mae. A MAE's decoder and a ViT's pooler are left out: the one is for training, the other
is random in every checkpoint that has no use for it. MAE stores its sine-cosine positions; they are read like learned
ones, so that they are its own to the last bit.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import flat_patches, joined, positions_apart, renamed
from chiasm.weights.layouts._pictures import HALF, channels, fit
from chiasm.weights.layouts._transformers import BLOCKS, classes, mlp

_RULES = (
    (r"^(vit|deit)\.", ""),
    (r"^(encoder\.layer|layers)\.", "blocks."),
    *BLOCKS,
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embedding.projection."),
    (r"^embeddings\.cls_token$", "prefix.cls_token"),
    (r"^embeddings\.mask_token$", "hiding.mask_token"),
    (r"^embeddings\.position_embeddings$", "positions.table"),
    (r"^layernorm\.", "norm."),
)
_IGNORED = (r"(vit\.)?pooler\..*", r"decoder\..*")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a ViT or a MAE of transformers."""
    return checkpoint.settings.get("model_type") in ("vit", "vit_mae")


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head."""
    settings = checkpoint.settings
    size_px = settings.get("image_size", 224)
    has_mask_token = any(name.endswith("embeddings.mask_token") for name in checkpoint.shapes)
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "vit",
            "embed_dim": settings["hidden_size"],
            "depth": settings["num_hidden_layers"],
            "num_heads": settings["num_attention_heads"],
            "image_size": size_px,
            "patch_size": settings.get("patch_size", 16),
            "mlp": mlp(settings.get("hidden_act", "gelu"), settings["intermediate_size"]),
            "qkv_bias": settings.get("qkv_bias", True),
            "norm_eps": settings.get("layer_norm_eps", 1e-12),
            "hiding": {"kind": "mask_token" if has_mask_token else "left_out"},
            **channels(checkpoint.processor, HALF, HALF),
        },
        "fit": fit(checkpoint.processor, size_px, {"kind": "squash"}),
    }
    if "classifier.weight" not in checkpoint.shapes:
        return Reading("encoder", encoder)
    return Reading("classifier", {"encoder": encoder, "head": {"classes": classes(checkpoint)}})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    head = {name: tensors.pop(name) for name in list(tensors) if name.startswith("classifier.")}
    trunk = joined(renamed(tensors, _RULES, _IGNORED), (".q.", ".k.", ".v."), ".query_key_value.")
    trunk = positions_apart(flat_patches(trunk, "patch_embedding.projection.weight"))
    inside = "image_encoder.trunk." if reading.model == "classifier" else "trunk."
    found = {f"{inside}{name}": tensor for name, tensor in trunk.items()}
    return found | {name.replace("classifier.", "head.linear."): tensor for name, tensor in head.items()}
