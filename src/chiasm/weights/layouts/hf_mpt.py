"""MPT of transformers, and as MosaicML published it: a language model without biases, with ALiBi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._names import renamed

_RULES = (
    (r"^(?:transformer\.)?blocks\.", "trunk.blocks."),
    (r"^(?:transformer\.)?wte\.", "trunk.token_embedding."),
    (r"^(?:transformer\.)?norm_f\.", "trunk.norm."),
    (r"\.attn\.Wqkv\.", ".attention.query_key_value."),
    (r"\.attn\.out_proj\.", ".attention.projection."),
    (r"\.norm_1\.", ".attention_norm."),
    (r"\.norm_2\.", ".mlp_norm."),
    (r"\.ffn\.up_proj\.", ".mlp.up."),
    (r"\.ffn\.down_proj\.", ".mlp.down."),
)
# The table that tokens are read by, which some files hold twice.
_IGNORED = (r"lm_head\.weight",)
_UNLIKE = ("clip_qkv", "qk_ln", "prefix_lm", "softmax_scale")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether it is an MPT of transformers."""
    return checkpoint.settings.get("model_type") == "mpt"


def read(checkpoint: Checkpoint) -> Reading:
    """A language model.

    Raises:
        InputError: it has parts that ours lacks.
    """
    settings = checkpoint.settings
    attention = settings.get("attn_config") or {}
    _refuse_unlike(settings, attention)
    width = settings["d_model"]
    trunk = {
        "vocab_size": settings["vocab_size"],
        "context_length": settings.get("max_seq_len", 2048),
        "embed_dim": width,
        "depth": settings["n_layers"],
        "num_heads": settings["n_heads"],
        "mlp": {"kind": "gelu", "hidden_dim": settings.get("expansion_ratio", 4) * width, "bias": False},
        "positions": {"kind": "alibi", "max_bias": attention.get("alibi_bias_max", 8)},
        "parallel": False,
        "attention_bias": False,
        "norm_bias": False,
        "norm_eps": settings.get("layer_norm_epsilon", 1e-5),
    }
    return Reading("language", {"trunk": trunk, "writes_as_it_reads": True})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of a language model."""
    del reading
    return renamed(tensors, _RULES, _IGNORED)


def _refuse_unlike(settings: Mapping[str, Any], attention: Mapping[str, Any]) -> None:
    """Raise an error for what ours lacks.

    Raises:
        InputError: there is some of it.
    """
    unlike = [f"attn_config.{name}" for name in _UNLIKE if attention.get(name)]
    unlike += [] if attention.get("alibi", True) else ["positions other than ALiBi"]
    unlike += [name for name in ("logit_scale",) if settings.get(name)]
    unlike += [] if settings.get("no_bias", True) else ["biases"]
    if unlike:
        raise InputError("a plain MPT with ALiBi", f"it has {', '.join(unlike)}", "choose another model")
