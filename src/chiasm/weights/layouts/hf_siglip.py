"""SigLIP and SigLIP 2 as transformers stores them (`SiglipModel`, `SiglipVisionModel`, `Siglip2Model` ...).

Read by `model_type` siglip (also SigLIP 2 of fixed resolution) or siglip2 (NaFlex), and by that of the picture side
alone. A text side alone is refused.

Differs: a NaFlex model, which takes pictures of any proportions, sees squares of as many patches as its table of
positions has. What SigLIP was given is lower-case without punctuation; SigLIP 2, whose tokenizer is Gemma's, had
lower-case alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._clip import cross_attention, scalars, shape_of, text_alone, within
from chiasm.weights.layouts._names import flat_patches, joined, renamed
from chiasm.weights.layouts._pictures import HALF, channels, fit, whole_patches
from chiasm.weights.layouts._transformers import BLOCKS, mlp
from chiasm.weights.vocabulary import padding_in, tokenizer_settings

_WHOLE, _VISION, _TEXT = ("siglip", "siglip2"), ("siglip_vision_model", "siglip2_vision_model"), "siglip_text_model"
_VISION_RULES = (
    (r"^vision_model\.", ""),
    (r"^encoder\.layers\.", "trunk.blocks."),
    *BLOCKS,
    (r"^embeddings\.patch_embedding\.", "trunk.patch_embedding.projection."),
    (r"^embeddings\.position_embedding\.weight$", "trunk.positions.table"),
    (r"^post_layernorm\.", "trunk.norm."),
    (r"^head\.layernorm\.", "pool.norm."),
    (r"^head\.", "pool."),
)
_TEXT_RULES = (
    (r"^text_model\.", ""),
    (r"^encoder\.layers\.", "trunk.blocks."),
    *BLOCKS,
    (r"^embeddings\.token_embedding\.", "trunk.token_embedding."),
    (r"^embeddings\.position_embedding\.weight$", "trunk.positions"),
    (r"^final_layer_norm\.", "trunk.norm."),
    (r"^head\.", "projection."),
)
_IGNORED = (r".*\.position_ids",)
_PATCHES = "trunk.patch_embedding.projection.weight"
_CANONICAL, _LOWER = ("lower", "no_punctuation", "single_blanks"), ("lower",)
_GEMMA_SIZE, _GEMMA_PADDING, _PADDING = 256_000, 0, 1


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a SigLIP of transformers, or one side of it."""
    return checkpoint.settings.get("model_type") in (*_WHOLE, *_VISION, _TEXT, "siglip2_text_model")


def read(checkpoint: Checkpoint) -> Reading:
    """A dual encoder, or an encoder where there is no text side.

    Raises:
        InputError: there is no picture side.
    """
    settings, shapes = checkpoint.settings, checkpoint.shapes
    sees = any("patch_embedding" in name for name in shapes)
    reads = any("token_embedding" in name for name in shapes)
    if not sees:
        raise text_alone(checkpoint.name)
    whole = settings.get("model_type") in _WHOLE
    image = _image(checkpoint, settings.get("vision_config", {}) if whole else settings)
    if not reads:
        return Reading("encoder", image)
    text = _text(checkpoint, settings.get("text_config", {}))
    return Reading("dual_encoder", {"image": image, "text": text, "logit_bias": 0.0})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of both sides, or of the picture side alone."""
    parts = (".q.", ".k.", ".v."), ".query_key_value."
    is_dual = reading.model == "dual_encoder"
    numbers = scalars(tensors) if is_dual else {}
    texts = {name: tensors.pop(name) for name in list(tensors) if is_dual and name.startswith("text_model.")}
    settings = (reading.config["image"] if is_dual else reading.config)["trunk"]
    image = joined(renamed(tensors, _VISION_RULES, _IGNORED), *parts)
    image = cross_attention(_patches(image, settings["patch_size"]), "pool.attention.")
    table = "trunk.positions.table"
    image |= {table: image[table].unsqueeze(0)} if table in image else {}
    if not is_dual:
        return image
    text = joined(renamed(texts, _TEXT_RULES, _IGNORED), *parts)
    return within("image_encoder.", image) | within("text_encoder.", text) | numbers


def _patches(tensors: dict[str, Tensor], patch_size: int) -> dict[str, Tensor]:
    """The weight of the patch embedding; that of NaFlex reads the channels of a pixel one after the other."""
    weight = tensors.get(_PATCHES)
    if weight is not None and weight.ndim == 2:
        pixels = weight.unflatten(1, (patch_size, patch_size, -1))
        return {**tensors, _PATCHES: pixels.permute(0, 3, 1, 2).flatten(1)}
    return flat_patches(tensors, _PATCHES)


def _image(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    processor = checkpoint.processor
    patch_size = settings.get("patch_size", 16)
    eps = settings.get("layer_norm_eps", 1e-6)
    feed_forward = mlp(settings.get("hidden_act", "gelu_pytorch_tanh"), settings.get("intermediate_size", 3072))
    num_heads = settings.get("num_attention_heads", 12)
    is_naflex = "num_patches" in settings or "siglip2" in str(settings.get("model_type"))
    told_px = settings.get("image_size", 224)
    # A strided convolution leaves out what does not fill a patch.
    size_px = told_px // patch_size * patch_size
    resampling = {"mode": "bicubic"}
    if is_naflex:
        size_px = isqrt(settings.get("num_patches", 256)) * patch_size
        resampling = {"mode": "bilinear", "antialias": True}
    fitted = {"kind": "squash"} if is_naflex else fit(processor, told_px, {"kind": "squash"})
    has_head = any(name.endswith("head.probe") for name in checkpoint.shapes)
    head = {"kind": "attention", "num_heads": num_heads, "mlp": feed_forward, "norm_eps": eps}
    return {
        "trunk": {
            "family": "vit",
            "embed_dim": settings.get("hidden_size", 768),
            "depth": settings.get("num_hidden_layers", 12),
            "num_heads": num_heads,
            "image_size": size_px,
            "patch_size": patch_size,
            "cls_token": False,
            "mlp": feed_forward,
            "norm_eps": eps,
            "positions": {"kind": "learned", "resampling": resampling},
            **channels(processor, HALF, HALF),
        },
        "pool": {"by": head if has_head else {"kind": "mean_patches"}},
        "fit": whole_patches(fitted, size_px),
    }


def _text(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    vocab_size = settings.get("vocab_size", 32_000)
    feed_forward = mlp(settings.get("hidden_act", "gelu_pytorch_tanh"), settings.get("intermediate_size", 3072))
    kind = str(tokenizer_settings(checkpoint.folder).get("tokenizer_class", ""))
    is_gemma = kind.startswith(("Gemma", "Siglip2")) or (not kind and vocab_size == _GEMMA_SIZE)
    padding = padding_in(checkpoint.folder)
    if padding is None:
        padding = _GEMMA_PADDING if is_gemma else _PADDING
    return {
        "trunk": {
            "family": "text",
            "vocab_size": vocab_size,
            "context_length": settings.get("max_position_embeddings", 64),
            "embed_dim": settings.get("hidden_size", 768),
            "depth": settings.get("num_hidden_layers", 12),
            "num_heads": settings.get("num_attention_heads", 12),
            "mlp": feed_forward,
            "norm_eps": settings.get("layer_norm_eps", 1e-6),
            "looks_back": False,
        },
        "pool": {"kind": "last_place"},
        "projection": shape_of(checkpoint.shapes, "text_model.head.weight")[0],
        "projection_bias": True,
        "tokenizer": {"padding": padding, "cleaning": _LOWER if is_gemma else _CANONICAL},
    }
