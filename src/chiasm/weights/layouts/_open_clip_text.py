"""The text side of open_clip's models: its own transformer.

Sizes are told from the tensors. What tensors cannot show is told from `text_cfg`; where there is none (a single file),
heads are as wide as in the published models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.tensors import widened
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts._clip import shape_of
from chiasm.weights.layouts._names import renamed
from chiasm.weights.layouts._open_clip_image import BLOCKS, depth, mlp, norm_eps
from chiasm.weights.vocabulary import padding_in

_RULES = (
    (r"^text\.", ""),
    *BLOCKS,
    (r"^token_embedding\.", "trunk.token_embedding."),
    (r"^positional_embedding$", "trunk.positions"),
    (r"^cls_emb$", "trunk.class_token"),
    (r"^ln_final\.", "trunk.norm."),
    (r"^text_projection$", "projection.weight"),
    (r"^text_projection\.", "projection."),
)
# OpenAI's own files tell some sizes among the weights.
_IGNORED = (r"(text\.)?attn_mask", "input_resolution", "context_length", "vocab_size")
_UNLIKE_BLOCKS = ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")
_UNLIKE_TEXT = ("hf_model_name", "tokenizer_mode", *_UNLIKE_BLOCKS)
_CLEANING = {
    "lower": ("repaired", "single_blanks", "lower"),
    "whitespace": ("repaired", "single_blanks"),
    "canonicalize": ("repaired", "blank_underscores", "no_punctuation", "lower", "single_blanks"),
}
_SIGLIP_SIZES = (32_000, 250_000)
"""Sizes of the vocabularies whose padding is the token 1, where no file tells it."""


def refuse_unlike(vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """Raise an error for the settings of parts that our models lack.

    Raises:
        InputError: there are some.
    """
    unlike = [f"vision_cfg.{key}" for key in _UNLIKE_BLOCKS if vision.get(key)]
    unlike += [f"text_cfg.{key}" for key in _UNLIKE_TEXT if text.get(key)]
    # The one pooler is told by its tensors; poolers after one another or side by side were never released.
    unlike += ["vision_cfg.attentional_pool"] if isinstance(vision.get("attentional_pool"), str) else []
    unlike += ["vision_cfg.layers of a ResNet"] if isinstance(vision.get("layers"), list) else []
    unlike += ["tokenizer_kwargs.strip_sep_token"] if _tokenizing(text).get("strip_sep_token") else []
    if unlike:
        came = f"it has {', '.join(unlike)}"
        raise InputError("an open_clip model of two plain transformers", came, "choose another model")


def read_text(checkpoint: Checkpoint, settings: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """Settings of the text side.

    Raises:
        InputError: a part or a setting that ours lacks.
    """
    inside = "text." if "text.token_embedding.weight" in checkpoint.shapes else ""
    shapes = {name.removeprefix(inside): shape for name, shape in checkpoint.shapes.items() if name.startswith(inside)}
    blocks = "transformer.resblocks."
    if "token_embedding.weight" not in shapes or f"{blocks}0.mlp.c_fc.weight" not in shapes:
        came = f"{checkpoint.name} has another or none"
        raise InputError("a text side that is open_clip's own transformer", came, "choose another model")
    vocab_size, width = shapes["token_embedding.weight"]
    looks_back = not settings.get("no_causal_mask", "text_projection.bias" in shapes)
    has_class = "cls_emb" in shapes
    own = _with_class(settings, looks_back=looks_back) if has_class else {"family": "text", "looks_back": looks_back}
    return {
        "trunk": {
            **own,
            "vocab_size": vocab_size,
            # The class token has the last position.
            "context_length": shape_of(shapes, "positional_embedding")[0] - has_class,
            "embed_dim": width,
            "depth": depth(shapes, blocks),
            "num_heads": settings.get("heads", max(width // 64, 1)),
            "mlp": mlp(shapes, f"{blocks}0.", settings, quick=quick),
            "norm_eps": norm_eps(settings),
            "layer_scale": 1.0 if f"{blocks}0.ls_1.gamma" in shapes else None,
        },
        "pool": _pool(settings, "last" if "text_projection.bias" in shapes else "argmax", has_class=has_class),
        **_projection(shapes, settings),
        "tokenizer": _reading(checkpoint, settings, vocab_size),
    }


def translate_text(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the text side under the names of a text encoder."""
    found = renamed(tensors, _RULES, _IGNORED)
    place, own = found.get("trunk.positions"), found.get("trunk.class_token")
    if place is not None and own is not None:
        # A sum in half precision would be rounded, and no longer be the same.
        found["trunk.class_token"] = (widened(own) + widened(place[-1])).reshape(1, 1, -1)
        found["trunk.positions"] = place[:-1]
    for name in ("text_projection", "text.text_projection"):
        if name in tensors:
            # Stored the other way round than the weight of a linear map.
            found["projection.weight"] = tensors[name].T
    return found


def _with_class(settings: Mapping[str, Any], *, looks_back: bool) -> dict[str, Any]:
    """Settings of a trunk with a class token after the text.

    Raises:
        InputError: its tokens see those after them.
    """
    if not looks_back:
        came = "no_causal_mask came"
        raise InputError("a text side with a class token whose tokens look back", came, "choose another model")
    # Version 3.3 knows of the right mask but offers no setting for it.
    is_late = not settings.get("correct_cls_mask", False)
    return {"family": "text_with_class", "padding": settings.get("pad_id", 0), "mask_is_late": is_late}


def _pool(settings: Mapping[str, Any], usual: str, *, has_class: bool) -> dict[str, Any]:
    if has_class:
        # Whatever `pool_type` says.
        return {"kind": "class_token"}
    pools: dict[str, dict[str, Any]] = {
        "argmax": {"kind": "highest_token"},
        "last": {"kind": "last_place"},
        "eos": {"kind": "end_token", "end_token": settings.get("eos_id", 2)},
    }
    asked = settings.get("pool_type", usual)
    if asked not in pools:
        raise InputError(f"a pool_type of texts among {', '.join(pools)}", f"{asked!r} came", "choose another model")
    return pools[asked]


def _projection(shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any]) -> dict[str, Any]:
    if "text_projection" in shapes:
        return {"projection": shapes["text_projection"][1]}
    if settings.get("proj_type") == "none":
        return {"projection": None}
    projection = shape_of(shapes, "text_projection.weight")[0]
    return {"projection": projection, "projection_bias": "text_projection.bias" in shapes}


def _tokenizing(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return settings.get("tokenizer_kwargs") or {}


def _reading(checkpoint: Checkpoint, settings: Mapping[str, Any], vocab_size: int) -> dict[str, Any]:
    """How texts become tokens: open_clip's own tokenizer lowers them and pads with 0, others do as they are told."""
    is_own = not settings.get("hf_tokenizer_name")
    clean = _tokenizing(settings).get("clean", "lower" if is_own else "whitespace")
    if not settings and vocab_size in (*_SIGLIP_SIZES, 256_000):
        is_own, clean = False, "canonicalize"
    if clean not in _CLEANING:
        raise InputError(f"texts cleaned by {', '.join(_CLEANING)}", f"{clean!r} came", "choose another model")
    padding = 0 if is_own else padding_in(checkpoint.folder)
    if padding is None:
        padding = 1 if vocab_size in _SIGLIP_SIZES else settings.get("pad_id", 0)
    return {"padding": padding, "cleaning": _CLEANING[clean]}
