"""CLIP as transformers stores it (`CLIPModel`, `CLIPVisionModel`, `CLIPVisionModelWithProjection`).

Read by `model_type` clip or clip_vision_model. A text side alone is refused. The pooled token of a text is the first
end token, or the one with the highest number where the settings have the end token 2, as those of the first published
checkpoints wrongly do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._clip import clip_vision, scalars, shape_of, text_alone, within
from chiasm.weights.layouts._names import flat_patches, joined, positions_apart, renamed
from chiasm.weights.layouts._pictures import CLIP_MEAN, CLIP_STD, channels, fit
from chiasm.weights.layouts._transformers import BLOCKS, mlp

_VISION_RULES = (
    (r"^vision_model\.", ""),
    (r"^visual_projection\.", "projection."),
    (r"^encoder\.layers\.", "trunk.blocks."),
    *BLOCKS,
    (r"^embeddings\.class_embedding$", "trunk.prefix.cls_token"),
    (r"^embeddings\.patch_embedding\.", "trunk.patch_embedding.projection."),
    (r"^embeddings\.position_embedding\.weight$", "trunk.positions.table"),
    (r"^pre_layrnorm\.", "trunk.pre_norm."),
    (r"^post_layernorm\.", "trunk.norm."),
)
_TEXT_RULES = (
    (r"^text_model\.", ""),
    (r"^text_projection\.", "projection."),
    (r"^encoder\.layers\.", "trunk.blocks."),
    *BLOCKS,
    (r"^embeddings\.token_embedding\.", "trunk.token_embedding."),
    (r"^embeddings\.position_embedding\.weight$", "trunk.positions"),
    (r"^final_layer_norm\.", "trunk.norm."),
)
# Older versions stored the numbers 0, 1, 2 ... among the weights.
_IGNORED = (r".*\.position_ids",)
_WRONG_END = 2


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a CLIP of transformers, or one side of it."""
    return checkpoint.settings.get("model_type") in ("clip", "clip_vision_model", "clip_text_model")


def read(checkpoint: Checkpoint) -> Reading:
    """A dual encoder, or an encoder where there is no text side.

    Raises:
        InputError: there is no picture side, or a projection is missing.
    """
    settings, shapes = checkpoint.settings, checkpoint.shapes
    sees = any("patch_embedding" in name for name in shapes)
    reads = any("token_embedding" in name for name in shapes)
    if not sees:
        raise text_alone(checkpoint.name)
    whole = settings.get("model_type") == "clip"
    image = _image(checkpoint, _side(settings, "vision") if whole else settings)
    if not reads:
        return Reading("encoder", image)
    shape_of(shapes, "visual_projection.weight")
    return Reading("dual_encoder", {"image": image, "text": _text(checkpoint, _side(settings, "text"))})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of both sides, or of the picture side alone."""
    parts = (".q.", ".k.", ".v."), ".query_key_value."
    is_dual = reading.model == "dual_encoder"
    scale = scalars(tensors) if is_dual else {}
    texts = {name: tensors.pop(name) for name in list(tensors) if is_dual and name.startswith("text_")}
    image = joined(renamed(tensors, _VISION_RULES, _IGNORED), *parts)
    image = flat_patches(image, "trunk.patch_embedding.projection.weight")
    image = positions_apart(image, "trunk.positions.table", ("trunk.prefix.cls_token",))
    if not is_dual:
        return image
    text = joined(renamed(texts, _TEXT_RULES, _IGNORED), *parts)
    return within("image_encoder.", image) | within("text_encoder.", text) | scale


def _side(settings: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    """Settings of one side; an older key replaces the newer one where both are there, as in transformers."""
    return settings.get(f"{side}_config_dict") or settings.get(f"{side}_config") or {}


def _image(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    size_px = settings.get("image_size", 224)
    processor = checkpoint.processor
    trunk = clip_vision(
        embed_dim=settings.get("hidden_size", 768),
        depth=settings.get("num_hidden_layers", 12),
        num_heads=settings.get("num_attention_heads", 12),
        image_size=size_px,
        patch_size=settings.get("patch_size", 32),
        mlp=mlp(settings.get("hidden_act", "quick_gelu"), settings.get("intermediate_size", 3072)),
        eps=settings.get("layer_norm_eps", 1e-5),
    )
    return {
        "trunk": {**trunk, **channels(processor, CLIP_MEAN, CLIP_STD)},
        "projection": checkpoint.shapes.get("visual_projection.weight", (None,))[0],
        "fit": fit(processor, size_px, {"kind": "centre_crop"}),
    }


def _text(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    vocab_size = settings.get("vocab_size", 49_408)
    end = settings.get("eos_token_id", 49_407)
    return {
        "trunk": {
            "family": "text",
            "vocab_size": vocab_size,
            "context_length": settings.get("max_position_embeddings", 77),
            "embed_dim": settings.get("hidden_size", 512),
            "depth": settings.get("num_hidden_layers", 12),
            "num_heads": settings.get("num_attention_heads", 8),
            "mlp": mlp(settings.get("hidden_act", "quick_gelu"), settings.get("intermediate_size", 2048)),
            "norm_eps": settings.get("layer_norm_eps", 1e-5),
        },
        "pool": {"kind": "highest_token"} if end == _WRONG_END else {"kind": "end_token", "end_token": end},
        "projection": shape_of(checkpoint.shapes, "text_projection.weight")[0],
        "tokenizer": {"padding": vocab_size - 1 if end == _WRONG_END else end},
    }
