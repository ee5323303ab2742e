"""What the layouts of dual encoders have in common: the settings of their sides, the words for a text without pictures.

Paper: Radford et al., 2021, arXiv 2103.00020, section 2.4.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError

CLEANED_LIKE_OPEN_CLIP = ("repaired", "single_blanks", "lower")
"""How open_clip and OpenAI's own code clean a text before they cut it into tokens."""


def text_alone(name: str) -> InputError:
    """The error for a checkpoint that sees no pictures."""
    return InputError("a model that sees pictures", f"{name} only reads text", "choose the whole model that it is from")


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
