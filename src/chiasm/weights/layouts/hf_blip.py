"""BLIP as transformers stores it (`BlipForConditionalGeneration`, `BlipForQuestionAnswering`, ...).

Read by `model_type` blip or blip_vision_model. Which of the three a file is follows from its tensors: those of
`BlipForImageTextRetrieval` have a head for matching, answerers a text encoder and a decoder, captioners a decoder
alone. `BlipModel`, which transformers itself gives up, and a text side alone are refused.

transformers leaves [CLS] before a question and before a text that is compared with a picture, where the authors'
code puts [ENC]; so do these settings, since these files are transformers'. Files for matching hold no temperature: 0.07
is taken, from which the authors' training starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._clip import shape_of, text_alone, within
from chiasm.weights.layouts._names import Rules, flat_patches, joined, parted, positions_apart, renamed
from chiasm.weights.layouts._pictures import CLIP_MEAN, CLIP_STD, channels, fit
from chiasm.weights.layouts._transformers import BLOCKS, mlp, require, shape

_VISION_RULES: Rules = (
    (r"^encoder\.layers\.", "blocks."),
    (r"\.self_attn\.qkv\.", ".attention.query_key_value."),
    (r"\.self_attn\.projection\.", ".attention.projection."),
    *BLOCKS,
    (r"^embeddings\.class_embedding$", "prefix.cls_token"),
    (r"^embeddings\.patch_embedding\.", "patch_embedding.projection."),
    (r"^embeddings\.position_embedding$", "positions.table"),
    (r"^post_layernorm\.", "norm."),
)
_TEXT_RULES: Rules = (
    (r"^embeddings\.word_embeddings\.", "token_embedding."),
    (r"^embeddings\.position_embeddings\.weight$", "positions"),
    (r"^embeddings\.LayerNorm\.", "norm."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.crossattention\.self\.(query|key|value)\.", r".cross_attention.\1."),
    (r"\.crossattention\.output\.dense\.", ".cross_attention.projection."),
    (r"\.crossattention\.output\.LayerNorm\.", ".cross_norm."),
    (r"\.attention\.self\.(query|key|value)\.", r".attention.\1."),
    (r"\.attention\.output\.dense\.", ".attention.projection."),
    (r"\.attention\.output\.LayerNorm\.", ".attention_norm."),
    (r"\.intermediate\.dense\.", ".mlp.up."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.down."),
    (r"(blocks\.\d+)\.output\.LayerNorm\.", r"\1.mlp_norm."),
)
_WRITER_RULES: Rules = (
    (r"^cls\.predictions\.transform\.dense\.", "dense."),
    (r"^cls\.predictions\.transform\.LayerNorm\.", "norm."),
    (r"^cls\.predictions\.bias$", "bias"),
)
# Older versions stored the numbers 0, 1, 2 ... among the weights.
_IGNORED = (r".*position_ids",)
_TABLE, _TOKENS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
_TEMPERATURE = 0.07


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a BLIP of transformers, or one side of it."""
    return checkpoint.settings.get("model_type") in ("blip", "blip_vision_model", "blip_text_model")


def read(checkpoint: Checkpoint) -> Reading:
    """A captioner, an answerer or a matcher; an encoder where there is the picture side alone.

    Raises:
        InputError: it is none of them.
    """
    settings, shapes = checkpoint.settings, checkpoint.shapes
    if not any("patch_embedding" in name for name in shapes):
        raise text_alone(checkpoint.name)
    if settings.get("model_type") == "blip_vision_model":
        return Reading("encoder", _image(checkpoint, settings))
    image, texts = _image(checkpoint, settings.get("vision_config", {})), settings.get("text_config", {})
    if "itm_head.weight" in shapes:
        return Reading("blip_matcher", _matcher(checkpoint, image, _text(texts)))
    sides = {name.partition(".")[0] for name in shapes}
    if "text_decoder" not in sides:
        came = f"{checkpoint.name} is a BlipModel, which transformers gives up"
        raise InputError("a BLIP that captions, answers or matches", came, "choose one of those")
    # Only the published activation stands between the last block and the vocabulary.
    require({"hidden_act": "gelu", "tie_word_embeddings": True, **texts}, hidden_act="gelu", tie_word_embeddings=True)
    told = {
        "image": image,
        "writer": _text(texts),
        "start_token": texts.get("bos_token_id", 30_522),
        "end_token": texts.get("sep_token_id", 102),
    }
    if "text_encoder" in sides:
        return Reading("blip_answerer", {**told, "reader": _text(texts)})
    return Reading("blip_captioner", told)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of whichever model it is."""
    if reading.model == "encoder":
        return within("trunk.", _vision(tensors))
    found, rest = parted(tensors, "vision_model.")
    found = within("image_encoder.trunk.", _vision(found))
    readers, rest = parted(rest, "text_encoder.")
    writers, rest = parted(rest, "text_decoder.")
    if reading.model == "blip_matcher":
        found |= within("text_encoder.trunk.", _reader(readers))
        found["logit_scale"] = torch.tensor(math.log(1 / _TEMPERATURE))
        heads = (("vision_proj.", "image_encoder.projection."), ("text_proj.", "text_encoder.projection."))
        return found | renamed(rest, [*heads, ("itm_head.", "match_head.")])
    return found | within("reader.", _reader(readers)) | within("writer.", _writer(writers)) | rest


def _vision(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = renamed(tensors, _VISION_RULES, _IGNORED)
    return positions_apart(flat_patches(found, "patch_embedding.projection.weight"))


def _reader(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = renamed(tensors, _TEXT_RULES, _IGNORED)
    cross = [f".cross_attention.{part}." for part in ("key", "value")]
    found = joined(found, cross, ".cross_attention.key_value.")
    own = [f".attention.{part}." for part in ("query", "key", "value")]
    return joined(found, own, ".attention.query_key_value.")


def _writer(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A writer's weights; what is stored under one name or another, or under both, is one tensor."""
    found = dict(tensors)
    for name, other in ((_TOKENS, _TABLE), ("cls.predictions.bias", "cls.predictions.decoder.bias")):
        copy = found.pop(other, None)
        if copy is not None:
            found.setdefault(name, copy)
    trunk, head = parted(found, "bert.")
    return within("trunk.", _reader(trunk)) | renamed(head, _WRITER_RULES)


def _image(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    usual = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 384,
        "patch_size": 16,
        "num_channels": 3,
        "layer_norm_eps": 1e-5,
    }
    sizes = shape({**usual, **settings})
    processor, size_px = checkpoint.processor, sizes["image_size"]
    squash = {"kind": "both_sides", "resize_px": size_px, "size_px": size_px, "filter": "bicubic"}
    return {
        "trunk": {
            "family": "vit",
            **sizes,
            "mlp": mlp(settings.get("hidden_act", "gelu"), settings.get("intermediate_size", 3072)),
            **channels(processor, CLIP_MEAN, CLIP_STD),
        },
        "fit": fit(processor, size_px, squash),
    }


def _text(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": settings.get("vocab_size", 30_524),
        "context_length": settings.get("max_position_embeddings", 512),
        "padding": settings.get("pad_token_id", 0),
        "embed_dim": settings.get("hidden_size", 768),
        "depth": settings.get("num_hidden_layers", 12),
        "num_heads": settings.get("num_attention_heads", 8),
        "mlp": mlp(settings.get("hidden_act", "gelu"), settings.get("intermediate_size", 3072)),
        "norm_eps": settings.get("layer_norm_eps", 1e-12),
    }


def _matcher(checkpoint: Checkpoint, image: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    width, shown_dim = shape_of(checkpoint.shapes, "vision_proj.weight")
    joint = {"projection": width, "projection_bias": True}
    return {
        "image": {**image, **joint},
        "text": {
            "trunk": {"family": "med", **text, "shown_dim": shown_dim},
            "pool": {"kind": "first_place"},
            **joint,
            "tokenizer": {"padding": text["padding"]},
        },
    }
