"""ConvNeXt and ConvNeXt V2 as timm stores them, in a folder or a single file, and as their authors first released them.

Sizes and parts are told from the tensors alone. What they cannot show is told by the name of the architecture: norms
add 1e-5 in `convnext_xxlarge`, and 1e-6 in all others that are read. Stems of several convolutions (`_ols`), norms
without a shift (`_rms`, `zepto`) and heads of two layers (`_mlp`) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts import _timm as timm
from chiasm.weights.layouts._names import Rules, flat_patches, parted, renamed

# From the authors' names to timm's.
_AUTHORS: Rules = (
    (r"^downsample_layers\.0\.", "stem."),
    (r"^downsample_layers\.(\d+)\.", r"stages.\1.downsample."),
    (r"^(stages\.\d+)\.(\d+)\.", r"\1.blocks.\2."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.pwconv(\d)\.", r".mlp.fc\1."),
    (r"\.grn\.gamma$", ".mlp.grn.weight"),
    (r"\.grn\.beta$", ".mlp.grn.bias"),
    (r"^norm\.", "head.norm."),
    (r"^head\.(weight|bias)$", r"head.fc.\1"),
)
_RULES: Rules = (
    (r"^stem\.0\.", "patch_embedding.projection."),
    (r"^stem\.1\.", "patch_embedding.norm."),
    (r"\.downsample\.0\.", ".merging.norm."),
    (r"\.downsample\.1\.", ".merging.convolution."),
    (r"\.conv_dw\.", ".convolution."),
    (r"\.gamma$", ".scale.gain"),
    (r"\.mlp\.fc1\.", ".mlp.up."),
    (r"\.mlp\.fc2\.", ".mlp.down."),
    (r"\.mlp\.grn\.weight$", ".mlp.activation.1.gain"),
    (r"\.mlp\.grn\.bias$", ".mlp.activation.1.shift"),
    (r"^norm_pre\.", "ending.norm."),
)
_OTHER_NORM_EPS = {"convnext_xxlarge": 1e-5}
_WIDE = (r"\.mlp\.(?:up|down)\.weight$", r"\.activation\.1\.(?:gain|shift)$")
"""Names of what may be stored with more axes than two, or than one."""


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it has timm's or the authors' names of a ConvNeXt, and is none of those made for timm's own tests."""
    is_convnext = timm.architecture(checkpoint).startswith("convnext") or not checkpoint.settings
    names = ("stages.0.blocks.0.conv_dw.weight", "stages.0.0.dwconv.weight")
    return is_convnext and any(name in checkpoint.shapes for name in names)


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head.

    Raises:
        InputError: the settings or tensors ask for what our ConvNeXt lacks.
    """
    shapes = {name: checkpoint.shapes[old] for old, name in _names(checkpoint.shapes).items()}
    _refuse_others(shapes, timm.arguments(checkpoint))
    norm_eps = _OTHER_NORM_EPS.get(timm.architecture(checkpoint), 1e-6)
    places = {match.groups() for name in shapes if (match := re.match(r"stages\.(\d+)\.blocks\.(\d+)\.", name))}
    stages = [int(stage) for stage, _ in places]
    widths = [shapes[f"stages.{stage}.blocks.0.norm.weight"][0] for stage in range(max(stages) + 1)]
    is_normed = "norm_pre.weight" in shapes
    size_px = timm.image_size(checkpoint) or 224
    encoder: dict[str, Any] = {
        "trunk": {
            "family": "convnext",
            "embed_dims": widths,
            "depths": [stages.count(stage) for stage in range(max(stages) + 1)],
            "image_size": size_px,
            "patch_size": shapes["stem.0.weight"][-1],
            "mlp": {
                "kind": "gelu_response" if "stages.0.blocks.0.mlp.grn.weight" in shapes else "gelu",
                "mlp_ratio": shapes["stages.0.blocks.0.mlp.fc1.weight"][0] / widths[0],
            },
            "layer_scale": 1.0 if "stages.0.blocks.0.gamma" in shapes else None,
            "ending": {"kind": "normed" if is_normed else "bare"},
            "norm_eps": norm_eps,
            **timm.channels(checkpoint),
        },
        "pool": {"by": {"kind": "mean_patches"} if is_normed else {"kind": "mean_then_norm", "norm_eps": norm_eps}},
        "fit": timm.fit(checkpoint, size_px),
    }
    head = next((name for name in ("head.fc.weight", "head.weight") if name in checkpoint.shapes), None)
    if head is None:
        return Reading("encoder", encoder)
    return Reading("classifier", {"encoder": encoder, "head": {"classes": timm.classes(checkpoint, head)}})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under our names: the last norm is the pool's, or the trunk's where it comes before the pool."""
    timms = {name: tensors[old] for old, name in _names(tensors).items()}
    found = flat_patches(renamed(timms, _RULES), "patch_embedding.projection.weight")
    found = {name: _narrowed(name, tensor) for name, tensor in found.items()}
    norm, rest = parted(found, "head.norm.")
    head, trunk = parted(rest, "head.fc.")
    inside = "image_encoder." if reading.model == "classifier" else ""
    return {
        **{f"{inside}trunk.{name}": tensor for name, tensor in trunk.items()},
        **{f"{inside}pool.norm.{name}": tensor for name, tensor in norm.items()},
        **{f"head.linear.{name}": tensor for name, tensor in head.items()},
    }


def _names(tensors: Mapping[str, Any]) -> dict[str, str]:
    """timm's name of each tensor by the name that it has."""
    if not any(name.startswith("downsample_layers.") for name in tensors):
        return {name: name for name in tensors}
    found = {}
    for old in tensors:
        name = old
        for pattern, replacement in _AUTHORS:
            name = re.sub(pattern, replacement, name)
        found[old] = name
    return found


def _narrowed(name: str, tensor: Tensor) -> Tensor:
    """Linear maps are 1 x 1 convolutions in some models, and gains have four axes in the authors' files."""
    matrix, vector = _WIDE
    if re.search(matrix, name):
        return tensor.flatten(1)
    return tensor.flatten() if re.search(vector, name) else tensor


def _refuse_others(shapes: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    wrong = ""
    if len(shapes.get("stem.1.weight", ())) != 1:
        wrong = "its stem is of several convolutions"
    elif any(name.startswith("head.pre_logits.") for name in shapes):
        wrong = "its head has two layers"
    elif arguments.get("act_layer", "gelu") != "gelu":
        wrong = f"its activation is {arguments['act_layer']}"
    elif arguments.get("global_pool", "avg") not in ("avg", ""):
        wrong = f"its pooling is {arguments['global_pool']}"
    if wrong:
        expected = "a ConvNeXt with one convolution of patches, GELU, a mean and a head of one layer"
        raise InputError(expected, wrong, "choose another checkpoint")
