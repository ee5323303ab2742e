"""What the vision transformers of transformers have in common: names inside a block, words for activations, labels."""

from __future__ import annotations

from typing import Any

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts._names import Rules

BLOCKS: Rules = (
    (r"\.attention\.attention\.(query|key|value)\.", r".attention.\1."),
    (r"\.self_attn\.", ".attention."),
    (r"\.attention\.(?:query|q_proj)\.", ".attention.q."),
    (r"\.attention\.(?:key|k_proj)\.", ".attention.k."),
    (r"\.attention\.(?:value|v_proj)\.", ".attention.v."),
    (r"\.attention\.(?:output\.dense|o_proj|out_proj)\.", ".attention.projection."),
    (r"\.(?:layernorm_before|layer_norm1|norm1)\.", ".attention_norm."),
    (r"\.(?:layernorm_after|layer_norm2|norm2)\.", ".mlp_norm."),
    (r"\.layer_scale1\.lambda1$", ".attention_scale.gain"),
    (r"\.layer_scale2\.lambda1$", ".mlp_scale.gain"),
    (r"\.(?:intermediate\.dense|mlp\.fc1|mlp\.up_proj)\.", ".mlp.up."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.down."),
    (r"\.mlp\.(?:fc2|down_proj)\.", ".mlp.down."),
)
"""Inside a block, after its number; queries, keys and values become `.q.`, `.k.` and `.v.`, to be joined."""

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "gelu_quick",
}


def mlp(activation: str, hidden_dim: int) -> dict[str, Any]:
    """Settings of the feed-forward part.

    Raises:
        InputError: an activation that no published checkpoint of these families has.
    """
    kind = _ACTIVATIONS.get(activation)
    if kind is None:
        known = ", ".join(_ACTIVATIONS)
        raise InputError(f"an activation among {known}", f"{activation!r} came", "choose another checkpoint")
    return {"kind": kind, "hidden_dim": hidden_dim}


def classes(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Names of the classes of a head, by their numbers where the settings do not name them."""
    names = {int(number): str(name) for number, name in checkpoint.settings.get("id2label", {}).items()}
    count = checkpoint.shapes["classifier.weight"][0]
    return tuple(names.get(number, f"class {number}") for number in range(count))
