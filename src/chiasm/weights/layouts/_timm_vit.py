"""The vision transformer as timm names it, and with it the original releases of DINO, DeiT, MAE and DINOv2.

Sizes and parts are told from the tensors alone, since a single file has nothing else. What tensors cannot show is told
from the configuration, else by the name of the architecture, else it is the rule that nearly all published models keep:
heads are 64 wide, the activation is GELU, norms add 1e-6 (1e-5 where there is one before the first block, as in CLIP).
As in timm, only names with `quickgelu` have OpenAI's activation.
Positions are resampled for other grids as timm does it, bicubically and smoothed; as DINOv2 does it where the names
are DINOv2's.

Left out: the decoder of MAE, the projection heads of DINO and DINOv2, and `pre_logits`, which no published model uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts import _timm as timm
from chiasm.weights.layouts._names import Rules, as_tokens, mean_of_heads, parted, positions_apart, renamed
from chiasm.weights.layouts._pictures import whole_patches

_RULES: Rules = (
    # Of checkpoints written in training: the part of the whole, and the chunk of blocks that a process holds.
    (r"^(?:module\.)?(?:backbone\.)?", ""),
    (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),
    (r"^cls_token$", "prefix.cls_token"),
    (r"^(?:reg_token|register_tokens|dist_token)$", "prefix.register_tokens"),
    (r"^mask_token$", "hiding.mask_token"),
    (r"^pos_embed$", "positions.table"),
    (r"^patch_embed\.proj\.", "patch_embedding.projection."),
    (r"^norm_pre\.", "pre_norm."),
    (r"^(blocks\.\d+)\.norm1\.", r"\1.attention_norm."),
    (r"^(blocks\.\d+)\.attn\.qkv\.", r"\1.attention.query_key_value."),
    (r"^(blocks\.\d+)\.attn\.proj\.", r"\1.attention.projection."),
    (r"^(blocks\.\d+)\.(?:ls1\.gamma|gamma_1)$", r"\1.attention_scale.gain"),
    (r"^(blocks\.\d+)\.norm2\.", r"\1.mlp_norm."),
    (r"^(blocks\.\d+)\.(?:ls2\.gamma|gamma_2)$", r"\1.mlp_scale.gain"),
    (r"^(blocks\.\d+)\.mlp\.(?:fc1|w12)\.", r"\1.mlp.up."),
    (r"^(blocks\.\d+)\.mlp\.(?:fc2|w3)\.", r"\1.mlp.down."),
    (r"^fc_norm\.", "pool.norm."),
    (r"^attn_pool\.latent$", "pool.probe"),
    (r"^attn_pool\.q\.", "pool.attention.query."),
    (r"^attn_pool\.kv\.", "pool.attention.key_value."),
    (r"^attn_pool\.proj\.", "pool.attention.projection."),
    (r"^attn_pool\.mlp\.fc1\.", "pool.mlp.up."),
    (r"^attn_pool\.mlp\.fc2\.", "pool.mlp.down."),
    (r"^attn_pool\.norm\.", "pool.norm."),
)
_IGNORED = (
    r"(module\.)?decoder_.*",
    r"(module\.)?(backbone\.)?(head|dino_head|ibot_head)\.(mlp|last_layer)\..*",
    r"pre_logits\..*",
)
_CLS, _REGISTERS = "prefix.cls_token", "prefix.register_tokens"
_OTHERS = ("pool.", "head.", "head_dist.")
_MAE = ("decoder_embed.weight", "module.decoder_embed.weight")
_HEAD_WIDTHS = {1152: 72, 1280: 80, 1408: 88, 1664: 104}
"""By the width of tokens, where it is not 64: So400m, Huge, Giant, gigantic."""
_OTHER_HEAD_WIDTHS = ((r"_giantopt_", 96), (r"^vit_base_patch16_gap_224$", 48), (r"^test_vit", 32))
_OTHER_ACTIVATIONS = (
    (r"_quickgelu_", "quick_gelu"),
    (r"_patch32_siglip_|_giantopt_.*siglip_|_so400m_patch16_siglip_|_large_patch16_siglip_(gap_)?512", "gelu_tanh"),
)
_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "quick_gelu": "gelu_quick"}
_OURS = r"(vit|deit|deit3|flexivit|test_vit\d?)(_|$)"
_UNLIKE = r"_(rope|rpn|relpos|srelpos|pe|dinov3|lingbot)(_|$)"
"""Architectures with the names of a plain one that compute something else."""

Weights = dict[str, Tensor]
Stem = tuple[dict[str, Any], int]
"""Settings of a stem, and the side in pixels of what becomes one token."""


def is_plain(checkpoint: Checkpoint) -> bool:
    """Whether the blocks are a vision transformer's, and no name says that they are of another kind."""
    named = timm.architecture(checkpoint)
    if checkpoint.settings and (not re.match(_OURS, named) or re.search(_UNLIKE, named)):
        return False
    return any(re.search(r"^(module\.)?(backbone\.)?blocks\.(\d+\.)+attn\.qkv\.weight$", n) for n in checkpoint.shapes)


def read(checkpoint: Checkpoint, rules: Rules, stem_of: Callable[[Weights], Stem]) -> Reading:
    """An encoder, or a classifier where there is a head.

    Args:
        checkpoint: with the names that `is_plain` asks for.
        rules: of the stem's names, beyond those of this file.
        stem_of: what the stem is, told from all tensors (which have shapes, but no numbers) under our names.

    Raises:
        InputError: a part or a setting that our transformer lacks.
    """
    blank = {name: torch.empty(shape, device="meta") for name, shape in checkpoint.shapes.items()}
    weights = _renamed(blank, rules)
    arguments = timm.arguments(checkpoint)
    stem, patch_size = stem_of(weights)
    width = weights["patch_embedding.projection.weight"].shape[0]
    blocks: dict[str, Any] = {
        "num_heads": _num_heads(arguments, timm.architecture(checkpoint), width),
        "mlp": _mlp(weights, arguments, timm.architecture(checkpoint)),
        "qkv_bias": "blocks.0.attention.query_key_value.bias" in weights,
        "layer_scale": 1.0 if "blocks.0.attention_scale.gain" in weights else None,
        "norm_eps": 1e-5 if "pre_norm.weight" in weights else 1e-6,
    }
    told_px = timm.image_size(checkpoint)
    size_px = _grid_side(weights, told_px, patch_size) * patch_size
    # A strided convolution leaves out what does not fill a patch; of pictures whose middle is cut out, we leave half of
    # that out on each side.
    made_px = told_px if told_px and told_px // patch_size * patch_size == size_px else size_px
    fit = {**whole_patches(timm.fit(checkpoint, made_px), size_px), "size_px": size_px}
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "vit",
            "embed_dim": width,
            "depth": 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
            "image_size": size_px,
            "patch_size": patch_size,
            "stem": stem,
            "cls_token": _CLS in weights,
            "num_register_tokens": weights[_REGISTERS].shape[1] if _REGISTERS in weights else 0,
            "positions": {"kind": "learned", "resampling": _resampling(checkpoint, weights)},
            "hiding": {"kind": "mask_token" if "hiding.mask_token" in weights else "left_out"},
            "pre_norm": "pre_norm.weight" in weights,
            "final_norm": "norm.weight" in weights,
            **blocks,
            **timm.channels(checkpoint),
        },
        "pool": {"by": _pool(weights, arguments, blocks)},
        "fit": fit,
    }
    if "head.weight" not in weights:
        return Reading("encoder", encoder)
    return Reading("classifier", {"encoder": encoder, "head": {"classes": timm.classes(checkpoint)}})


def trunk_weights(tensors: Weights, reading: Reading, rules: Rules) -> tuple[Weights, Weights]:
    """The weights of the trunk, and the others, still to be given to `assembled`."""
    found = _renamed(tensors, rules)
    others = {name: tensor for name, tensor in found.items() if name.startswith(_OTHERS)}
    trunk = {name: tensor for name, tensor in found.items() if name not in others}
    encoder = reading.config.get("encoder", reading.config)
    num_patches = (encoder["trunk"]["image_size"] // encoder["trunk"]["patch_size"]) ** 2
    num_prefix = trunk["positions.table"].shape[1] - num_patches
    return positions_apart(trunk, prefix=_prefixes(trunk).get(num_prefix, ())), others


def assembled(trunk: Weights, others: Weights) -> Weights:
    """All weights under the names of an encoder; of a classifier where there is a head."""
    head, rest = parted(others, "head.")
    taught, without = parted(rest, "head_dist.")
    if taught.keys() == head.keys() == {"weight", "bias"}:
        rest, head = without, mean_of_heads(head, taught)
    inside = "image_encoder." if head else ""
    return {
        **{f"{inside}trunk.{name}": tensor for name, tensor in trunk.items()},
        **{f"{inside}{name}": tensor for name, tensor in rest.items()},
        **{f"head.linear.{name}": tensor for name, tensor in head.items()},
    }


def _renamed(tensors: Weights, rules: Rules) -> Weights:
    """All tensors that have a place in our models, most of them under the names of our trunk."""
    decoder = (r"(module\.)?mask_token",) if any(name in tensors for name in _MAE) else ()
    found = renamed(tensors, (*_RULES, *rules), (*_IGNORED, *decoder))
    found = as_tokens(found, _CLS, _REGISTERS, "hiding.mask_token", "positions.table")
    return renamed(found, ((r"\.mlp\.up\.", ".mlp.gate_up."),)) if _is_gated(found) else found


def _is_gated(weights: Weights) -> bool:
    up, down = weights.get("blocks.0.mlp.up.weight"), weights.get("blocks.0.mlp.down.weight")
    return up is not None and down is not None and up.shape[0] == 2 * down.shape[1]


def _prefixes(weights: Weights) -> dict[int, tuple[str, ...]]:
    """Which tokens can have positions before those of the patches, by how many these are together."""
    present = tuple(name for name in (_CLS, _REGISTERS) if name in weights)
    return {sum(weights[name].shape[1] for name in some): some for some in ((), present[:1], present)}


def _grid_side(weights: Weights, image_size: int | None, patch_size: int) -> int:
    """Rows and columns of the grid that the positions were made for."""
    table = weights.get("positions.table")
    if table is None:
        raise InputError("a table of positions (pos_embed)", "there is none", "choose another checkpoint")
    count = table.shape[1]
    patches = [count - prefix for prefix in _prefixes(weights) if count > prefix]
    sides = [isqrt(number) for number in patches if isqrt(number) ** 2 == number]
    if not sides:
        raise InputError(
            "positions of a square grid of patches", f"there are {count} of them", "choose a checkpoint for squares"
        )
    # Squares that differ by the number of a few tokens are tiny, so that more than one is hardly ever possible.
    return next((side for side in sides if image_size and side == image_size // patch_size), sides[-1])


def _resampling(checkpoint: Checkpoint, weights: Weights) -> dict[str, Any]:
    has_own_code = not checkpoint.settings and "hiding.mask_token" in weights
    if has_own_code and _REGISTERS not in weights:
        return {"mode": "bicubic", "antialias": False, "offset": 0.1}
    return {"mode": "bicubic", "antialias": True}


def _num_heads(arguments: Mapping[str, Any], named: str, width: int) -> int:
    if "num_heads" in arguments:
        return int(arguments["num_heads"])
    usual = _HEAD_WIDTHS.get(width, 64)
    head_width = next((other for pattern, other in _OTHER_HEAD_WIDTHS if re.search(pattern, named)), usual)
    if width % head_width:
        raise InputError(
            "num_heads among the model_args of its config.json, or heads of 64 numbers",
            f"tokens of {width} numbers came without it",
            "add it",
        )
    return width // head_width


def _mlp(weights: Weights, arguments: Mapping[str, Any], named: str) -> dict[str, Any]:
    down = weights.get("blocks.0.mlp.down.weight")
    width = {} if down is None else {"hidden_dim": down.shape[1]}
    if "blocks.0.mlp.gate_up.weight" in weights:
        return {"kind": "swiglu", **width}
    if not named and "pre_norm.weight" in weights:
        raise InputError(
            "the whole folder of a CLIP, with its config.json",
            "its weights came alone, which do not tell one GELU from the other",
            "name the folder",
        )
    usual = next((other for pattern, other in _OTHER_ACTIVATIONS if re.search(pattern, named)), "gelu")
    activation = arguments.get("act_layer") or usual
    kind = _ACTIVATIONS.get(activation)
    if kind is None:
        known = ", ".join(_ACTIVATIONS)
        raise InputError(f"an act_layer among {known}", f"{activation!r} came", "choose another checkpoint")
    return {"kind": kind, **width}


def _pool(weights: Weights, arguments: Mapping[str, Any], blocks: dict[str, Any]) -> dict[str, Any]:
    """How tokens become a vector.

    Args:
        weights: all, under our names.
        arguments: of the architecture.
        blocks: settings of the trunk's blocks, which an attention pool shares.
    """
    if "head_dist.weight" in weights:
        return {"kind": "class_and_register"}
    has_prefix = any(name in weights for name in (_CLS, _REGISTERS))
    found = "map" if "pool.probe" in weights else "norm" if "pool.norm.weight" in weights else ""
    asked = arguments.get("global_pool") or found.replace("norm", "avg") or ("token" if _CLS in weights else "avg")
    kinds: dict[tuple[str, str], dict[str, Any]] = {
        ("token", ""): {"kind": "class_token"},
        ("avg", ""): {"kind": "mean_patches"},
        ("avg", "norm"): {"kind": "mean_then_norm", "norm_eps": blocks["norm_eps"]},
    }
    if not has_prefix:
        kinds["map", "map"] = {"kind": "attention", **{key: blocks[key] for key in ("num_heads", "mlp", "norm_eps")}}
    if (asked, found) not in kinds or arguments.get("pool_include_prefix"):
        raise InputError(
            "a global_pool of token, of avg over the patches alone, or of map where there are no other tokens",
            f"{asked!r} came" + (f" with a {found}" if found else ""),
            "choose another checkpoint",
        )
    return kinds[asked, found]
