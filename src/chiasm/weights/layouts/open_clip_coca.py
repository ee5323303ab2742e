"""CoCa as open_clip stores it.

A folder of open_clip (`open_clip_config.json`, `open_clip_model.safetensors`), or a single file with its names. The
picture side is open_clip's vision transformer with its attentional pooler, the text side its own transformer with a
class token; models without these (language models as text sides) are refused.

Of a single file nothing tells the activation, as in the layout `open_clip`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._clip import cross_attention, scalars, within
from chiasm.weights.layouts._names import parted, renamed
from chiasm.weights.layouts._open_clip_image import (
    BLOCKS,
    OWN,
    depth,
    mlp,
    read_own,
    translate_own,
    with_pictures,
)
from chiasm.weights.layouts._open_clip_text import read_text, refuse_unlike, translate_text

_DECODER = "text_decoder."
_BLOCKS = f"{_DECODER}resblocks."
_RULES = (
    (r"^resblocks\.", "blocks."),
    (r"^(cross_attn\..*)\.attn\.in_proj_(weight|bias)$", r"\1.attention.in_proj_\2"),
    (r"^(cross_attn\..*)\.attn\.out_proj\.", r"\1.attention.projection."),
    (r"^cross_attn\.", "cross_blocks."),
    (r"\.ln_1_kv\.", ".shown_norm."),
    *((pattern, name) for pattern, name in BLOCKS if not pattern.startswith("^")),
    (r"^ln_final\.", "norm."),
)
_NEEDED = (f"{OWN}attn_pool.query", "text.cls_emb", f"{_BLOCKS}0.mlp.c_fc.weight")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether there is a decoder, or settings of one."""
    model = checkpoint.settings.get("model_cfg") or {}
    return any(name.startswith(_DECODER) for name in checkpoint.shapes) or "multimodal_cfg" in model


def read(checkpoint: Checkpoint) -> Reading:
    """A CoCa.

    Raises:
        InputError: a part is of a kind that ours are not.
    """
    model = checkpoint.settings.get("model_cfg") or {}
    vision, text = model.get("vision_cfg") or {}, model.get("text_cfg") or {}
    refuse_unlike(vision, text)
    shapes = checkpoint.shapes
    missing = [name for name in _NEEDED if name not in shapes]
    if missing:
        came = f"{checkpoint.name} has no {missing[0]}"
        raise InputError("a CoCa with an attentional pooler and a class token of texts", came, "choose another model")
    quick = model.get("quick_gelu", False)
    config = {
        "image": with_pictures(read_own(shapes, vision, quick=quick), checkpoint, vision),
        "text": read_text(checkpoint, text, quick=quick),
        "decoder": _decoder(shapes, model.get("multimodal_cfg") or {}, quick=quick),
        "logit_bias": 0.0 if "logit_bias" in shapes else None,
    }
    return Reading("coca", config)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of both sides and of the decoder."""
    numbers = scalars(tensors)
    decoder, others = parted(tensors, _DECODER)
    image = {name: others.pop(name) for name in list(others) if name.startswith(OWN)}
    return (
        within("image_encoder.", translate_own(image, reading.config["image"]))
        | within("text_encoder.", translate_text(others))
        | within("decoder.", _translate_decoder(decoder, reading.config["decoder"]["depth"]))
        | numbers
    )


def _decoder(shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """Settings of the decoder; those of norms and activations are not given on to it in open_clip."""
    width = shapes[f"{_BLOCKS}0.mlp.c_fc.weight"][1]
    return {
        "depth": depth(shapes, _BLOCKS),
        "num_heads": settings.get("heads", 8 if settings else max(width // 64, 1)),
        "mlp": mlp(shapes, f"{_BLOCKS}0.", {}, quick=quick),
        "layer_scale": 1.0 if f"{_BLOCKS}0.ls_1.gamma" in shapes else None,
        "norm_eps": 1e-5,
    }


def _translate_decoder(tensors: dict[str, Tensor], num_blocks: int) -> dict[str, Tensor]:
    found = renamed(tensors, _RULES, ("attn_mask",))
    projection = found.pop("text_projection", None)
    for place in range(num_blocks):
        found = cross_attention(found, f"cross_blocks.{place}.attention.")
    # Stored the other way round than the weight of a linear map.
    return found if projection is None else {**found, "projection.weight": projection.T}
