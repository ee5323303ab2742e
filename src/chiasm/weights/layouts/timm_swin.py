"""Swin and Swin v2 as timm stores them, in a folder or a single file, and as their authors first released them.

What the second version's tensors do not show, the windows, is told from the configuration, else from the name of the
architecture (`swinv2_base_window12to16_192to256`); a single file of it is therefore not read. The first version's
tables tell its windows; where nothing tells the size of pictures, a window is taken to cover the last stage's grid, as
it does in every published model.

The authors' files, and timm's until 2023, have merging at the end of a stage instead of at the beginning of the next.
Shifted windows that must be filled up come out otherwise in timm than here (see `layers.windows`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts import _timm as timm
from chiasm.weights.layouts._names import Rules, flat_patches, parted, renamed
from chiasm.weights.layouts._transformers import assembled

_RULES: Rules = (
    (r"^head\.fc\.", "head."),
    (r"^patch_embed\.proj\.", "patch_embedding.projection."),
    (r"^patch_embed\.norm\.", "patch_embedding.norm."),
    (r"^layers\.", "stages."),
    (r"\.downsample\.", ".merging."),
    (r"\.attn\.qkv\.", ".attention.query_key_value."),
    (r"\.attn\.q_bias$", ".attention.query_key_value.query_bias"),
    (r"\.attn\.v_bias$", ".attention.query_key_value.value_bias"),
    (r"\.attn\.proj\.", ".attention.projection."),
    (r"\.attn\.relative_position_bias_table$", ".attention.bias.table"),
    (r"\.attn\.logit_scale$", ".attention.comparison.log_scale"),
    (r"\.attn\.cpb_mlp\.0\.", ".attention.bias.up."),
    (r"\.attn\.cpb_mlp\.2\.", ".attention.bias.down."),
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.mlp\.fc1\.", ".mlp.up."),
    (r"\.mlp\.fc2\.", ".mlp.down."),
)
_SECOND: Rules = (
    (r"\.(attention|mlp)_norm\.", r".\1_post_norm."),
    (r"\.merging\.norm\.", ".merging.post_norm."),
)
# Formulas that older versions stored.
_IGNORED = (r".*\.attn_mask", r".*\.relative_(position_index|coords_table)", r".*\.k_bias")
_FIRST_BLOCK = "layers.0.blocks.0."
_TABLE, _NETWORK = f"{_FIRST_BLOCK}attn.relative_position_bias_table", f"{_FIRST_BLOCK}attn.cpb_mlp.0.weight"


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it has timm's names of a Swin transformer."""
    is_swin = timm.architecture(checkpoint).startswith("swin") or not checkpoint.settings
    return is_swin and (_TABLE in checkpoint.shapes or _NETWORK in checkpoint.shapes)


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head.

    Raises:
        InputError: the settings ask for what our Swin transformer lacks, or do not tell the windows.
    """
    arguments = timm.arguments(checkpoint)
    _refuse_others(arguments)
    shapes = checkpoint.shapes
    width, patch_size = shapes["patch_embed.proj.weight"][0], shapes["patch_embed.proj.weight"][-1]
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "swin",
            "embed_dim": width,
            "depths": _depths(shapes),
            "patch_size": patch_size,
            "windows": {"kind": "fixed"},
            "mlp": {"kind": "gelu", "mlp_ratio": shapes[f"{_FIRST_BLOCK}mlp.fc1.weight"][0] / width},
            **(_second(checkpoint, patch_size) if _NETWORK in shapes else _first(checkpoint, patch_size)),
            **timm.channels(checkpoint),
        },
        "pool": {"by": {"kind": "mean_patches"}},
    }
    encoder["fit"] = timm.fit(checkpoint, encoder["trunk"]["image_size"])
    head = next((name for name in ("head.fc.weight", "head.weight") if name in shapes), None)
    if head is None:
        return Reading("encoder", encoder)
    return Reading("classifier", {"encoder": encoder, "head": {"classes": timm.classes(checkpoint, head)}})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    del reading
    if any(name.startswith("layers.0.downsample.") for name in tensors):
        tensors = {_merging_first(name): tensor for name, tensor in tensors.items()}
    rules = (*_RULES, *_SECOND) if _NETWORK in tensors else _RULES
    found = flat_patches(renamed(tensors, rules, _IGNORED), "patch_embedding.projection.weight")
    head, trunk = parted(found, "head.")
    return assembled(trunk, head)


def _merging_first(name: str) -> str:
    return re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", name)


def _refuse_others(arguments: Mapping[str, Any]) -> None:
    for name, wanted in {"global_pool": "avg", "act_layer": "gelu", "always_partition": False}.items():
        came = arguments.get(name, wanted)
        if came not in (wanted, ""):
            raise InputError(f"{name} {wanted} among its model_args", f"{came!r} came", "choose another checkpoint")


def _depths(shapes: Mapping[str, Any]) -> list[int]:
    """Blocks of each stage."""
    places = {match.groups() for name in shapes if (match := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name))}
    stages = [int(stage) for stage, _ in places]
    return [stages.count(stage) for stage in range(max(stages) + 1)]


def _of_stages(shapes: Mapping[str, Any], name: str, axis: int) -> list[int]:
    """A length of a tensor of the first block of each stage."""
    return [shapes[f"layers.{stage}.blocks.0.{name}"][axis] for stage in range(len(_depths(shapes)))]


def _first(checkpoint: Checkpoint, patch_size: int) -> dict[str, Any]:
    """What the first version has of its own."""
    shapes = checkpoint.shapes
    rows = _of_stages(shapes, "attn.relative_position_bias_table", 0)
    sides = [(isqrt(count) + 1) // 2 for count in rows]
    covered = sides[-1] * (patch_size << len(sides) - 1)
    return {
        "num_heads": _of_stages(shapes, "attn.relative_position_bias_table", 1),
        "image_size": timm.image_size(checkpoint) or covered,
        "window_sizes": sides,
        "attention": {"kind": "dot_product", "qkv_bias": f"{_FIRST_BLOCK}attn.qkv.bias" in shapes},
    }


def _second(checkpoint: Checkpoint, patch_size: int) -> dict[str, Any]:
    """What the second version has of its own."""
    shapes, arguments = checkpoint.shapes, timm.arguments(checkpoint)
    named = re.search(r"_window(\d+)(?:to(\d+)_(\d+)to)?", timm.architecture(checkpoint))
    window = arguments.get("window_size") or (named and int(named[2] or named[1]))
    image_size = timm.image_size(checkpoint)
    if not window or not image_size:
        raise InputError(
            "a config.json of timm that tells windows (window_size) and pictures (img_size)",
            f"{checkpoint.name} does not",
            "name a folder with both, or the model on the hub",
        )
    trained = arguments.get("pretrained_window_sizes")
    if trained is None and named and named[2]:
        # They were no larger than the grid at the size in the name.
        grids = [int(named[3]) // patch_size >> stage for stage in range(len(_depths(shapes)))]
        trained = [min(int(named[1]), grid) for grid in grids]
    return {
        "num_heads": _of_stages(shapes, "attn.logit_scale", 0),
        "image_size": image_size,
        "window_sizes": window if isinstance(window, (list, tuple)) else [window],
        "attention": {
            "kind": "cosine",
            "qkv_bias": f"{_FIRST_BLOCK}attn.q_bias" in shapes,
            "trained_window_sizes": trained or (),
        },
        "norms": {"kind": "after"},
    }
