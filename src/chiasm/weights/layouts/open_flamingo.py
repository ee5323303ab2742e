"""OpenFlamingo: its trained parts, put together with the picture encoder and the language model that they belong to.

Its checkpoints hold nothing else, and do not say what they belong to. So a person puts `checkpoint.pt` (or its tensors
as `model.safetensors`) into a folder of its own with a `config.json` that names both, each a folder, seen from that
one, or a name on the hub:

    {"model_type": "open_flamingo",
     "parts": {"vision": "openai/clip-vit-large-patch14",
               "language": "togethercomputer/RedPajama-INCITE-Base-3B-v1"}}

Everything else is told from the tensors: heads are 64 wide, as they are in the code that made them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._clip import shape_of, within
from chiasm.weights.layouts._names import parted, renamed
from chiasm.weights.stored import Stored

VISION, LANGUAGE = "vision", "language"
_KIND = "open_flamingo"
_HEAD_DIM = 64
# A layer is stored in a list of its own, or within the block that it stands before, or twice.
_CROSS = r"^lang_encoder\.(?:.+\.)?(?:gated_cross_attn_layers\.(\d+)|(\d+)\.gated_cross_attn_layer)\."
_RULES = (
    (r"^module\.", ""),
    (_CROSS, r"gated.\1\2."),
    (r"\.attn\.norm\.", ".cross_norm."),
    (r"\.attn\.to_q\.", ".cross_attention.query."),
    (r"\.attn\.to_kv\.", ".cross_attention.key_value."),
    (r"\.attn\.to_out\.", ".cross_attention.projection."),
    (r"\.attn_gate$", ".cross_gate"),
    (r"\.ff_gate$", ".mlp_gate"),
    (r"\.ff\.0\.", ".mlp_norm."),
    (r"\.ff\.1\.", ".mlp.up."),
    (r"\.ff\.3\.", ".mlp.down."),
    (r"^perceiver\.layers\.", "resampler.blocks."),
    (r"^perceiver\.", "resampler."),
    (r"\.0\.norm_media\.", ".patch_norm."),
    (r"\.0\.norm_latents\.", ".latent_norm."),
    (r"\.0\.to_q\.", ".attention.query."),
    (r"\.0\.to_kv\.", ".attention.key_value."),
    (r"\.0\.to_out\.", ".attention.projection."),
    (r"(resampler\.blocks\.\d+)\.1\.0\.", r"\1.mlp_norm."),
    (r"(resampler\.blocks\.\d+)\.1\.1\.", r"\1.mlp.up."),
    (r"(resampler\.blocks\.\d+)\.1\.3\.", r"\1.mlp.down."),
    (r"^lang_encoder\.(?:gpt_neox\.embed_in|transformer\.wte)\.weight$", "language.trunk.token_embedding.weight"),
    (r"^lang_encoder\.(?:embed_out|lm_head)\.weight$", "language.next_token"),
)
# Masks and frequencies of the frozen blocks, which are stored with them.
_IGNORED = (r".*\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)", r".*\.(causal_mask|attn_bias)")
_READ_TABLES = ("gpt_neox.embed_in.weight", "transformer.wte.weight")


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether its settings say so: the tensors alone are no model."""
    return checkpoint.settings.get("model_type") == _KIND


def read(checkpoint: Checkpoint) -> Reading:
    """A Flamingo.

    Raises:
        InputError: a part is not named, or is of another kind.
    """
    shapes = {name.removeprefix("module."): shape for name, shape in checkpoint.shapes.items()}
    matches = (re.match(_CROSS, name) for name in shapes)
    places = sorted({int(found[1] or found[2]) for found in matches if found})
    if not places:
        came = f"{checkpoint.name} has none"
        raise InputError("gated layers (lang_encoder.gated_cross_attn_layers)", came, "copy the checkpoint again")
    image, language = _image(_part(checkpoint, VISION)), _language(_part(checkpoint, LANGUAGE), shapes)
    every = places[0] + 1
    if places != list(range(every - 1, language["trunk"]["depth"], every)):
        came = f"they stand before the blocks {', '.join(map(str, places))} of {language['trunk']['depth']}"
        raise InputError("gated layers at one distance from each other", came, "name the language model of the weights")
    one = next(name for name in shapes if name.endswith(".attn.to_q.weight"))
    config = {
        "image": image,
        "resampler": _resampler(shapes),
        "gated": {"every": every, **_heads(shapes[one]), "mlp": _mlp(shapes, one.replace(".attn.to_q.", ".ff.1."))},
        "language": language,
    }
    return Reading("flamingo", config, tokenizer=LANGUAGE)


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of a Flamingo: the trained ones, and of the parts what they do not replace."""
    vision, rest = parted(tensors, f"{VISION}/")
    language, trained = parted(rest, f"{LANGUAGE}/")
    found = _numbered(renamed(trained, _RULES, _IGNORED), reading.config["gated"]["every"])
    image = {name.removeprefix("image_encoder."): tensor for name, tensor in vision.items()}
    seen = renamed(image, ((r"^trunk\.norm\.", "pool.norm."),), (r"text_encoder\..*", r"logit_(scale|bias)"))
    return within("image_encoder.", seen) | within("language.", _cut(language, reading)) | found


def _part(checkpoint: Checkpoint, part: str) -> Stored:
    if part not in checkpoint.parts:
        do = f'add "parts": {{"{part}": ...}} to its config.json (docs/models.md)'
        raise InputError(f"the {part} part of {checkpoint.name}", "it is not named", do)
    return checkpoint.parts[part]


def _image(vision: Stored) -> dict[str, Any]:
    """Settings of the picture encoder: a CLIP's, but its patches are taken before the final norm.

    Raises:
        InputError: it is none of CLIP's.
    """
    whole: Mapping[str, Any] = vision.config
    image = whole["image"] if vision.model == "dual_encoder" else whole if vision.model == "encoder" else {}
    trunk = image.get("trunk", {})
    by = image.get("pool", {}).get("by", {"kind": "class_token"})
    if trunk.get("family") != "vit" or not trunk.get("final_norm", True) or by["kind"] != "class_token":
        raise InputError("the picture side of a CLIP as the vision part", f"{vision.name} is another", "name one")
    norm = {"norm_eps": trunk["norm_eps"]} if "norm_eps" in trunk else {}
    return {**image, "trunk": {**trunk, "final_norm": False}, "pool": {"by": {"kind": "class_then_norm", **norm}}}


def _language(language: Stored, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Settings of the language model, as large a vocabulary as the trained table has.

    Raises:
        InputError: it is none.
    """
    if language.model != "language":
        raise InputError("a language model as the language part", f"{language.name} is another", "name one")
    tables = [shapes[f"lang_encoder.{name}"][0] for name in _READ_TABLES if f"lang_encoder.{name}" in shapes]
    trunk = language.config["trunk"]
    return {**language.config, "trunk": {**trunk, "vocab_size": tables[0] if tables else trunk["vocab_size"]}}


def _resampler(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Settings of the resampler.

    Raises:
        InputError: it is for videos, or a tensor is missing.
    """
    if any(name in shapes for name in ("perceiver.frame_embs", "perceiver.media_time_embs")):
        raise InputError("a resampler of single pictures", "it numbers frames or pictures", "choose another model")
    found = (re.match(r"perceiver\.layers\.(\d+)\.", name) for name in shapes)
    return {
        "num_latents": shape_of(shapes, "perceiver.latents")[0],
        "depth": 1 + max((int(match[1]) for match in found if match), default=0),
        **_heads(shape_of(shapes, "perceiver.layers.0.0.to_q.weight")),
        "mlp": _mlp(shapes, "perceiver.layers.0.1.1.weight"),
    }


def _heads(query: tuple[int, ...]) -> dict[str, int]:
    return {"num_heads": query[0] // _HEAD_DIM, "head_dim": _HEAD_DIM}


def _mlp(shapes: Mapping[str, tuple[int, ...]], name: str) -> dict[str, Any]:
    return {"kind": "gelu", "hidden_dim": shape_of(shapes, name)[0], "bias": False}


def _numbered(tensors: dict[str, Tensor], every: int) -> dict[str, Tensor]:
    """Gated layers by their own numbers, not those of the blocks that they stand before; gates as single numbers."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = re.match(r"gated\.(\d+)\.", name)
        if match:
            name = f"gated.blocks.{(int(match[1]) + 1) // every - 1}.{name[match.end() :]}"
        found[name] = tensor.reshape(()) if name.endswith("_gate") and tensor.numel() == 1 else tensor
    return found


def _cut(language: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The language model's tensors, its table for writing as long as the one that texts are read by."""
    length = reading.config["language"]["trunk"]["vocab_size"]
    return {name: tensor[:length] if name == "next_token" else tensor for name, tensor in language.items()}
