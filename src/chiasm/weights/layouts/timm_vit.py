"""ViT, DeiT, MAE, DINO, DINOv2 and CLIP's image side as timm stores them, or as their authors first released them.

A folder of timm (`config.json` with an `architecture`, `model.safetensors`), or a single file with timm's names, which
DINO, DeiT, MAE and DINOv2 share. For a single file the number of heads follows the width and pixels are normalised as
for ImageNet; see `_timm_vit` for these rules.
"""

from __future__ import annotations

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading, _timm_vit
from chiasm.weights.layouts._names import flat_patches

_PROJECTION = "patch_embedding.projection"


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a vision transformer with timm's names and linear patches."""
    patches = [shape for name, shape in checkpoint.shapes.items() if name.endswith("patch_embed.proj.weight")]
    has_stem = any("patch_embed.backbone." in name for name in checkpoint.shapes)
    return len(patches) == 1 and len(patches[0]) == 4 and not has_stem and _timm_vit.is_plain(checkpoint)


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head."""
    return _timm_vit.read(checkpoint, (), _stem)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    trunk, others = _timm_vit.trunk_weights(tensors, reading, ())
    return _timm_vit.assembled(flat_patches(trunk, f"{_PROJECTION}.weight"), others)


def _stem(weights: dict[str, Tensor]) -> _timm_vit.Stem:
    return {"kind": "linear", "bias": f"{_PROJECTION}.bias" in weights}, weights[f"{_PROJECTION}.weight"].shape[-1]
