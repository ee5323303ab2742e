"""Hybrids of timm: a vision transformer on a ResNet (R50+ViT-B/16, R26+ViT-S/32, R+ViT-Ti/16).

Those are read whose ResNet is the paper's, with standardised weights and group norms of 32 groups; timm's other
hybrids were never published with weights.
"""

from __future__ import annotations

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading, _resnet, _timm_vit
from chiasm.weights.layouts._names import Rules

_NUM_GROUPS = 32
_FIRST = ("patch_embed.backbone.stem.conv.weight", "patch_embed.backbone.conv.weight")
_RULES: Rules = (
    # Without stages the first convolution is not inside a stem but is all there is.
    (r"^patch_embed\.backbone\.(?:stem\.)?conv\.", f"{_resnet.FEATURES}first."),
    (r"^patch_embed\.backbone\.(?:stem\.)?norm\.", f"{_resnet.FEATURES}first_norm."),
    (r"^patch_embed\.backbone\.stages\.(\d+)\.blocks\.", rf"{_resnet.FEATURES}stages.\1."),
    *_resnet.BLOCKS,
)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a vision transformer with timm's names on a ResNet of the paper's kind."""
    return any(name in checkpoint.shapes for name in _FIRST) and _timm_vit.is_plain(checkpoint)


def read(checkpoint: Checkpoint) -> Reading:
    """An encoder, or a classifier where there is a head."""
    return _timm_vit.read(checkpoint, _RULES, _stem)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the trunk's names; a head's under its own."""
    return _timm_vit.assembled(*_timm_vit.trunk_weights(tensors, reading, _RULES))


def _stem(weights: dict[str, Tensor]) -> _timm_vit.Stem:
    return _resnet.stem_of(weights, _NUM_GROUPS)
