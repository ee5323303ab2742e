"""What the layouts of dual encoders have in common: the settings of their sides, the words for a text without pictures.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError


def text_alone(name: str) -> InputError:
    """The error for a checkpoint that sees no pictures."""
    return InputError("a model that sees pictures", f"{name} only reads text", "choose the whole model that it is from")


def shape_of(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    """The shape of a tensor that tells a size.

    Raises:
        InputError: there is no such tensor.
    """
    if name not in shapes:
        raise InputError(f"the tensor {name}, which tells a size", "it is missing", "copy or fetch the model again")
    return shapes[name]


def clip_vision(
    *, embed_dim: int, depth: int, num_heads: int, image_size: int, patch_size: int, mlp: dict[str, Any], eps: float
) -> dict[str, Any]:
    """Settings of CLIP's vision transformer, but for its channels."""
    return {
        "family": "vit",
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": num_heads,
        "image_size": image_size,
        "patch_size": patch_size,
        "mlp": mlp,
        "norm_eps": eps,
        "pre_norm": True,
        "stem": {"kind": "linear", "bias": False},
    }


def within(place: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as those of a part."""
    return {f"{place}{name}": tensor for name, tensor in tensors.items()}


def cross_attention(tensors: dict[str, Tensor], place: str) -> dict[str, Tensor]:
    """One joint map to queries, keys and values, of an attention to other tokens, as the two maps that it is here.

    Args:
        tensors: as renamed.
        place: beginning of the attention's names, to which `in_proj_weight` and `in_proj_bias` belong.
    """
    found = dict(tensors)
    for kind in ("weight", "bias"):
        joint = found.pop(f"{place}in_proj_{kind}", None)
        if joint is not None:
            width = len(joint) // 3
            found[f"{place}query.{kind}"], found[f"{place}key_value.{kind}"] = joint[:width], joint[width:]
    return found


def scalars(tensors: dict[str, Tensor], names: tuple[str, ...] = ("logit_scale", "logit_bias")) -> dict[str, Tensor]:
    """Take out numbers that stand beside both sides; some are stored as lists of one."""
    found = {name: tensors.pop(name) for name in names if name in tensors}
    return {name: tensor.reshape(()) if tensor.numel() == 1 else tensor for name, tensor in found.items()}
