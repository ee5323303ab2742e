"""What the vision transformers of transformers have in common: names, settings, activations, labels.

Files on the hub spell names in two ways: as transformers 4 had them in memory and as all versions write them to disk
(`encoder.layer.0.attention.attention.query`), and as transformers 5 has them in memory (`layers.0.attention.q_proj`).
Both are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import Rules, as_tokens, flat_patches, joined, renamed

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
    (r"\.mlp\.(?:fc2|down_proj|weights_out)\.", ".mlp.down."),
    (r"\.mlp\.gate_proj\.", ".mlp.gate."),
    (r"\.mlp\.weights_in\.", ".mlp.gate_up."),
)
"""Inside a block, after its number; queries, keys and values become `.q.`, `.k.` and `.v.`, to be joined."""

VIT: Rules = (
    (r"^(?:encoder\.layer|(?:model\.)?layers?)\.", "blocks."),
    *BLOCKS,
    (r"^embeddings\.patch_embeddings\.(?:projection\.)?", "patch_embedding.projection."),
    (r"^embeddings\.cls_token$", "prefix.cls_token"),
    (r"^embeddings\.(?:register_tokens|distillation_token)$", "prefix.register_tokens"),
    (r"^embeddings\.mask_token$", "hiding.mask_token"),
    (r"^embeddings\.position_embeddings$", "positions.table"),
    (r"^layernorm\.", "norm."),
)
"""A whole vision transformer, after the name of its family."""

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "gelu_quick",
}


def shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What these families call alike: width, depth, heads, sizes and the constant of the norms.

    Raises:
        InputError: pictures or patches are not square, or have other channels than red, green and blue.
    """
    require(settings, num_channels=3)
    return {
        "embed_dim": settings["hidden_size"],
        "depth": settings["num_hidden_layers"],
        "num_heads": settings["num_attention_heads"],
        "image_size": side_px(settings, "image_size"),
        "patch_size": side_px(settings, "patch_size"),
        "norm_eps": settings["layer_norm_eps"],
    }


def require(settings: Mapping[str, Any], **wanted: object) -> None:
    """Refuse settings that exist in the reference but in no checkpoint that was published.

    Raises:
        InputError: a setting has another value than the one wanted.
    """
    for name, value in wanted.items():
        if settings[name] != value:
            raise InputError(f"{name} {value} in its settings", f"it is {settings[name]}", "choose another checkpoint")


def side_px(settings: Mapping[str, Any], name: str) -> int:
    """The side of a square that is stored as one number or as two.

    Raises:
        InputError: the two differ.
    """
    value = settings[name]
    sides = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(sides) != 1:
        raise InputError(f"{name} of a square in its settings", f"it is {value}", "choose another checkpoint")
    return sides.pop()


def activation(name: str) -> str:
    """Our word for an activation, a kind of feed-forward part.

    Raises:
        InputError: one that no published checkpoint of these families has.
    """
    kind = _ACTIVATIONS.get(name)
    if kind is None:
        known = ", ".join(_ACTIVATIONS)
        raise InputError(f"an activation among {known}", f"{name!r} came", "choose another checkpoint")
    return kind


def mlp(name: str, hidden_dim: int) -> dict[str, Any]:
    """Settings of the feed-forward part, from its activation and width.

    Raises:
        InputError: see `activation`.
    """
    return {"kind": activation(name), "hidden_dim": hidden_dim}


def hiding(checkpoint: Checkpoint) -> dict[str, str]:
    """Hidden patches are replaced where the checkpoint has a token for it, else left out."""
    has_token = any(name.endswith("embeddings.mask_token") for name in checkpoint.shapes)
    return {"kind": "mask_token" if has_token else "left_out"}


def classes(checkpoint: Checkpoint, head: str = "classifier.weight") -> tuple[str, ...]:
    """Names of the classes of a head, by their numbers where the settings do not name them."""
    names = checkpoint.settings.get("id2label") or {}
    return tuple(str(names.get(str(number), f"class {number}")) for number in range(checkpoint.shapes[head][0]))


def classifier(checkpoint: Checkpoint, encoder: dict[str, Any], head: str = "classifier.weight") -> Reading:
    """An encoder with the classes of its head."""
    return Reading("classifier", {"encoder": encoder, "head": {"classes": classes(checkpoint, head)}})


def trunk_weights(tensors: dict[str, Tensor], rules: Rules, ignored: Iterable[str] = ()) -> dict[str, Tensor]:
    """A trunk's weights under its names, positions of prefix tokens still in their table.

    Args:
        tensors: of the trunk alone.
        rules: how names change.
        ignored: regular expressions of names that have no place in the trunk.
    """
    found = joined(renamed(tensors, rules, ignored), (".q.", ".k.", ".v."), ".query_key_value.")
    found = joined(found, (".mlp.gate.", ".mlp.up."), ".mlp.gate_up.")
    found = flat_patches(found, "patch_embedding.projection.weight")
    return as_tokens(found, "prefix.cls_token", "prefix.register_tokens", "hiding.mask_token")


def assembled(trunk: dict[str, Tensor], head: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an encoder; of a classifier where there is a head."""
    inside = "image_encoder.trunk." if head else "trunk."
    return {f"{inside}{name}": tensor for name, tensor in trunk.items()} | {
        f"head.linear.{name}": tensor for name, tensor in head.items()
    }
