"""The picture side of open_clip's models: its own vision transformer, or one of timm's.

Sizes are told from the tensors. What tensors cannot show is told from `vision_cfg`; where there is none (a single
file), heads are as wide as in the published models of that width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading, _timm_vit
from chiasm.weights.layouts._clip import clip_vision, cross_attention, shape_of
from chiasm.weights.layouts._names import Rules, flat_patches, joined, parted, positions_apart, renamed
from chiasm.weights.layouts._pictures import CLIP_MEAN, CLIP_STD, HALF, open_clip_fit, whole_patches

OWN, TIMM = "visual.", "visual.trunk."
BLOCKS: Rules = (
    (r"^transformer\.resblocks\.", "trunk.blocks."),
    (r"\.attn\.in_proj_(weight|bias)$", r".attention.query_key_value.\1"),
    (r"\.attn\.out_proj\.", ".attention.projection."),
    (r"\.ln_1\.", ".attention_norm."),
    (r"\.ln_2\.", ".mlp_norm."),
    (r"\.ls_1\.gamma$", ".attention_scale.gain"),
    (r"\.ls_2\.gamma$", ".mlp_scale.gain"),
    (r"\.mlp\.c_fc\.", ".mlp.up."),
    (r"\.mlp\.c_proj\.", ".mlp.down."),
)
"""Inside the blocks of both sides."""

_RULES: Rules = (
    (r"^attn_pool\.query$", "pool.queries"),
    (r"^attn_pool\.ln_q\.", "pool.query_norm."),
    (r"^attn_pool\.ln_k\.", "pool.token_norm."),
    (r"^attn_pool\.attn\.q_proj_weight$", "pool.attention.query.weight"),
    (r"^attn_pool\.attn\.out_proj\.", "pool.attention.projection."),
    (r"^attn_pool\.attn\.", "pool.attention."),
    *BLOCKS,
    (r"^class_embedding$", "trunk.prefix.cls_token"),
    (r"^positional_embedding$", "trunk.positions.table"),
    (r"^conv1\.", "trunk.patch_embedding.projection."),
    (r"^ln_pre\.", "trunk.pre_norm."),
)
_POOLER = "visual.attn_pool.query"
_PATCHES = "patch_embedding.projection.weight"
_HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104, 1792: 112}
"""By the width of tokens, where it is not 64: H, g, G, E."""


@dataclass(frozen=True)
class _Part(Checkpoint):
    """The tensors of a checkpoint whose names begin alike, named without that beginning.

    Attributes:
        beginning: of the names.
    """

    beginning: str = ""

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        every = super().shapes
        return {name.removeprefix(self.beginning): every[name] for name in every if name.startswith(self.beginning)}


def mlp(
    shapes: Mapping[str, tuple[int, ...]], block: str, settings: Mapping[str, Any], *, quick: bool
) -> dict[str, Any]:
    """Settings of the feed-forward part of open_clip's own transformers.

    Args:
        shapes: of the tensors.
        block: beginning of the names of the first block.
        settings: `vision_cfg` or `text_cfg`.
        quick: whether the settings of the whole ask for the approximation with a sigmoid.

    Raises:
        InputError: GELU is approximated in an unknown way.
    """
    approximation = (settings.get("act_kwargs") or {}).get("approximate", "none")
    kinds = {"none": "gelu_quick" if quick else "gelu", "tanh": "gelu_tanh"}
    if approximation not in kinds:
        raise InputError("GELU approximated by tanh or not at all", f"{approximation!r} came", "choose another model")
    return {"kind": kinds[approximation], "hidden_dim": shape_of(shapes, f"{block}mlp.c_fc.weight")[0]}


def norm_eps(settings: Mapping[str, Any]) -> float:
    """What the norms of open_clip's own transformers add."""
    return (settings.get("norm_kwargs") or {}).get("eps", 1e-5)


def depth(shapes: Mapping[str, tuple[int, ...]], blocks: str) -> int:
    """How many blocks there are, of names that begin with `blocks`."""
    return 1 + max(int(name.removeprefix(blocks).split(".")[0]) for name in shapes if name.startswith(blocks))


def read_own(shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """Settings of an encoder, but for its pictures, of open_clip's own vision transformer.

    Raises:
        InputError: a part or a setting that our transformer lacks.
    """
    blocks = f"{OWN}transformer.resblocks."
    width, _, patch_size, _ = shape_of(shapes, f"{OWN}conv1.weight")
    num_places = shape_of(shapes, f"{OWN}positional_embedding")[0]
    side = isqrt(num_places - 1)
    if side * side + 1 != num_places:
        raise InputError("positions of a square grid of patches", "they are of another", "choose another model")
    pool = settings.get("pool_type", "tok")
    if pool not in ("tok", "avg"):
        raise InputError("a pool_type of tok or avg", f"{pool!r} came", "choose another model")
    eps = norm_eps(settings)
    norm_after = pool == "avg" and settings.get("final_ln_after_pool", False)
    trunk = clip_vision(
        embed_dim=width,
        depth=depth(shapes, blocks),
        num_heads=max(width // settings.get("head_width", 64 if settings else _HEAD_WIDTHS.get(width, 64)), 1),
        image_size=side * patch_size,
        patch_size=patch_size,
        mlp=mlp(shapes, f"{blocks}0.", settings, quick=quick),
        eps=eps,
    )
    return {
        "trunk": {
            **trunk,
            "pre_norm": f"{OWN}ln_pre.weight" in shapes,
            "final_norm": not norm_after and _POOLER not in shapes,
            "layer_scale": 1.0 if f"{blocks}0.ls_1.gamma" in shapes else None,
            "positions": {"kind": "learned", "resampling": {"mode": "bicubic", "antialias": True}},
        },
        "pool": {
            "by": _queries(shapes, settings, eps) if _POOLER in shapes else _pool(pool, eps, norm_after=norm_after)
        },
        "projection": shape_of(shapes, f"{OWN}proj")[1],
    }


def _pool(pool: str, eps: float, *, norm_after: bool) -> dict[str, Any]:
    if pool == "tok":
        return {"kind": "class_token"}
    return {"kind": "mean_then_norm", "norm_eps": eps} if norm_after else {"kind": "mean_patches"}


def _queries(shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], eps: float) -> dict[str, Any]:
    """Settings of the attentional pooler, whose own norms take no `norm_kwargs`.

    Raises:
        InputError: the vector is not that of its first query.
    """
    if settings.get("pool_type", "tok") != "tok":
        do = "choose another model"
        raise InputError("an attentional pooler with a pool_type of tok", f"{settings['pool_type']!r} came", do)
    num_queries, out_dim = shapes[_POOLER]
    heads = settings.get("attn_pooler_heads", 8)
    return {
        "kind": "queries",
        "num_queries": num_queries,
        "out_dim": out_dim,
        "num_heads": heads,
        "norm_eps": 1e-5,
        "last_norm_eps": eps,
    }


def translate_own(tensors: dict[str, Tensor], image: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of open_clip's own vision transformer under the names of an encoder."""
    pool = image["pool"]["by"]["kind"]
    last = "pool.norm." if pool in ("mean_then_norm", "queries") else "trunk.norm."
    found, _ = parted(tensors, OWN)
    projection = found.pop("proj", None)
    found = flat_patches(renamed(found, (*_RULES, (r"^ln_post\.", last))), f"trunk.{_PATCHES}")
    found = positions_apart(found, "trunk.positions.table", ("trunk.prefix.cls_token",))
    # The pooler has one map where its queries are as wide as the trunk's tokens, and three elsewhere.
    found = joined(found, (".k_proj_weight", ".v_proj_weight"), ".key_value.weight")
    found = cross_attention(found, "pool.attention.")
    return found if projection is None else {**found, "projection.weight": projection.T}


def read_timm(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an encoder, but for its pictures, of a vision transformer of timm.

    Raises:
        InputError: it is no plain vision transformer, or a part or a setting is one that ours lacks.
    """
    named, pool = settings.get("timm_model_name"), settings.get("timm_pool")
    told = {"architecture": named} if named else {}
    part = _Part(
        name=checkpoint.name,
        files=checkpoint.files,
        is_pickled=checkpoint.is_pickled,
        settings=told if pool in (None, "", "map") else {**told, "global_pool": pool},
        processor={},
        folder=None,
        beginning=TIMM,
    )
    if not _timm_vit.is_plain(part):
        came = f"{checkpoint.name} has {named or 'something else'}"
        raise InputError("a picture side that is a vision transformer", came, "choose another model")
    reading = _timm_vit.read(part, (), _stem)
    if reading.model != "encoder":
        raise InputError("a projection without a bias (timm_proj)", "a head with one came", "choose another model")
    image = dict(reading.config)
    if "attn_pool.latent" in part.shapes:
        trunk = image["trunk"]
        hidden_dim = shape_of(part.shapes, "attn_pool.mlp.fc1.weight")[0]
        head = {"kind": "attention", "num_heads": trunk["num_heads"], "norm_eps": trunk["norm_eps"]}
        image["pool"] = {"by": {**head, "mlp": {**trunk["mlp"], "hidden_dim": hidden_dim}}}
    return {**image, "projection": checkpoint.shapes.get("visual.head.proj.weight", (None,))[0]}


def translate_timm(tensors: dict[str, Tensor], image: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a vision transformer of timm under the names of an encoder."""
    trunk, others = parted(tensors, TIMM)
    blocks, rest = _timm_vit.trunk_weights(trunk, Reading("encoder", dict(image)), ())
    found = _timm_vit.assembled(flat_patches(blocks, _PATCHES), rest)
    return found | renamed(others, ((r"^visual\.head\.proj\.", "projection."),))


def with_pictures(image: dict[str, Any], checkpoint: Checkpoint, vision: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an encoder with what its pictures are made into.

    Raises:
        InputError: the model is for pictures that are no squares.
    """
    is_siglip = image["pool"]["by"]["kind"] == "attention"
    usual = {"resize_mode": "squash"} if is_siglip else {}
    told = {**usual, **(checkpoint.settings.get("preprocess_cfg") or {})}
    size_px = image["trunk"]["image_size"]
    whole = open_clip_fit({"size": vision.get("image_size"), **told}, size_px)
    pixels = {
        "mean": tuple(told.get("mean") or (HALF if is_siglip else CLIP_MEAN)),
        "std": tuple(told.get("std") or (HALF if is_siglip else CLIP_STD)),
    }
    return {**image, "trunk": {**image["trunk"], **pixels}, "fit": whole_patches(whole, size_px)}


def _stem(weights: dict[str, Tensor]) -> _timm_vit.Stem:
    return {"kind": "linear", "bias": "patch_embedding.projection.bias" in weights}, weights[_PATCHES].shape[-1]
