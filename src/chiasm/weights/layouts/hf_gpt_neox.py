"""GPT-NeoX of transformers: Pythia, RedPajama-INCITE.

Queries, keys and values stand head by head there, and the numbers of a head that turn stand at its beginning; here all
queries come first, then all keys, and what turns stands in both halves of a head (`layers.text_positions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import renamed
from chiasm.weights.layouts._transformers import mlp

_RULES = (
    (r"^(?:gpt_neox\.)?layers\.", "trunk.blocks."),
    (r"^(?:gpt_neox\.)?embed_in\.", "trunk.token_embedding."),
    (r"^(?:gpt_neox\.)?final_layer_norm\.", "trunk.norm."),
    (r"^(?:embed_out|lm_head)\.weight$", "next_token"),
    (r"\.attention\.dense\.", ".attention.projection."),
    (r"\.input_layernorm\.", ".attention_norm."),
    (r"\.post_attention_layernorm\.", ".mlp_norm."),
    (r"\.mlp\.dense_h_to_4h\.", ".mlp.up."),
    (r"\.mlp\.dense_4h_to_h\.", ".mlp.down."),
)
# Older versions stored masks and frequencies among the weights.
_IGNORED = (r".*\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is a GPT-NeoX of transformers."""
    return checkpoint.settings.get("model_type") == "gpt_neox"


def read(checkpoint: Checkpoint) -> Reading:
    """A language model.

    Raises:
        InputError: its positions are stretched in a way that ours are not.
    """
    settings = checkpoint.settings
    tied = settings.get("tie_word_embeddings", False)
    trunk = {
        "vocab_size": settings["vocab_size"],
        "context_length": settings.get("max_position_embeddings", 2048),
        "embed_dim": settings["hidden_size"],
        "depth": settings["num_hidden_layers"],
        "num_heads": settings["num_attention_heads"],
        "mlp": mlp(settings.get("hidden_act", "gelu"), settings["intermediate_size"]),
        "positions": _positions(settings),
        "parallel": settings.get("use_parallel_residual", True),
        "attention_bias": settings.get("attention_bias", True),
        "norm_eps": settings.get("layer_norm_eps", 1e-5),
    }
    return Reading("language", {"trunk": trunk, "writes_as_it_reads": tied})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of a language model."""
    trunk = reading.config["trunk"]
    found = renamed(tensors, _RULES, _IGNORED)
    if reading.config["writes_as_it_reads"]:
        found.pop("next_token", None)
    num_heads, width = trunk["num_heads"], trunk["embed_dim"]
    order = _turned_apart(width // num_heads, trunk["positions"]["share"])
    return {
        name: _by_kind(tensor, num_heads, order) if ".query_key_value." in name else tensor
        for name, tensor in found.items()
    }


def _positions(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary positions; newer versions keep their settings together.

    Raises:
        InputError: they are stretched for longer texts.
    """
    told = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    kind = told.get("rope_type", told.get("type", "default"))
    if kind != "default":
        raise InputError("rotary positions as they were trained", f"stretched ones ({kind})", "choose another model")
    return {
        "kind": "rotary",
        "share": told.get("partial_rotary_factor", settings.get("rotary_pct", 0.25)),
        "theta": told.get("rope_theta", settings.get("rotary_emb_base", 10_000)),
    }


def _turned_apart(head_dim: int, share: float) -> list[int]:
    """Where each number of a head comes from: those that turn are paired across the middle of the head."""
    turned = list(range(int(head_dim * share)))
    still = list(range(len(turned), head_dim))
    first, second = len(turned) // 2, len(still) // 2
    return turned[:first] + still[:second] + turned[first:] + still[second:]


def _by_kind(tensor: Tensor, num_heads: int, order: list[int]) -> Tensor:
    """All queries, all keys, all values, from a weight or a bias that has them head by head."""
    query, key, value = tensor.unflatten(0, (num_heads, 3, len(order))).unbind(1)
    return torch.cat([query[:, order].flatten(0, 1), key[:, order].flatten(0, 1), value.flatten(0, 1)])
