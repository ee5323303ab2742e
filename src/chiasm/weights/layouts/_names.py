"""From one way of naming tensors to another: the few moves that every layout is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from chiasm.core.tensors import widened

Rules = Sequence[tuple[str, str]]
"""Regular expression and replacement, applied one after the other, each wherever it matches."""


def renamed(tensors: dict[str, Tensor], rules: Rules, ignored: Iterable[str] = ()) -> dict[str, Tensor]:
    """Tensors under other names.

    Args:
        tensors: by their foreign names.
        rules: how names change.
        ignored: regular expressions; tensors whose whole foreign name matches one have no place in our model.
    """
    left_out = [re.compile(pattern) for pattern in ignored]
    moves = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if any(pattern.fullmatch(name) for pattern in left_out):
            continue
        for pattern, replacement in moves:
            name = pattern.sub(replacement, name)
        found[name] = tensor
    return found


def joined(tensors: dict[str, Tensor], parts: Sequence[str], whole: str) -> dict[str, Tensor]:
    """Tensors that are several there and one here, put one after the other along their first axis.

    Args:
        tensors: as renamed.
        parts: words of the names that tell the parts apart (`.q_proj.`, `.k_proj.`, `.v_proj.`), in their order.
        whole: the word that takes their place (`.query_key_value.`).
    """
    found = dict(tensors)
    for name in [name for name in tensors if parts[0] in name]:
        names = [name.replace(parts[0], part) for part in parts]
        if all(one in found for one in names):
            found[name.replace(parts[0], whole)] = torch.cat([found.pop(one) for one in names])
    return found


def flat_patches(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weight of a patch convolution `[D C p p]` as that of the linear map that it equals, `[D C*p*p]`."""
    return {**tensors, name: tensors[name].flatten(1)} if name in tensors else tensors


def positions_apart(
    tensors: dict[str, Tensor], table: str = "positions.table", prefix: Sequence[str] = ("prefix.cls_token",)
) -> dict[str, Tensor]:
    """Move the positions of tokens that stand before the patches into these tokens, where they are the same sum.

    Where one of them is missing, nothing is moved: the loading fails with its name.

    Args:
        tensors: as renamed; the table is `[1 P+N D]` or `[P+N D]`, tokens are in any shape, one or several
            under a name.
        table: name of the table of positions.
        prefix: names of the tokens, in the order of their positions.
    """
    if any(name not in tensors for name in (table, *prefix)):
        return tensors
    found = dict(tensors)
    width = found[table].shape[-1]
    positions = found[table].reshape(1, -1, width)
    place = 0
    for name in prefix:
        # A sum in half precision would be rounded, and no longer be the same.
        tokens = widened(found[name]).reshape(1, -1, width)
        found[name] = tokens + widened(positions[:, place : place + tokens.shape[1]])
        place += tokens.shape[1]
    found[table] = positions[:, place:]
    return found


def as_tokens(tensors: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    """Tokens of the shape `[D]`, `[R D]` or `[1 R D]` as `[1 R D]`; where there are none of a name, it is left out."""
    found = dict(tensors)
    for name in names:
        if name in tensors and not tensors[name].numel():
            del found[name]
        elif name in tensors:
            found[name] = tensors[name].reshape(1, -1, tensors[name].shape[-1])
    return found


def parted(tensors: dict[str, Tensor], beginning: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors whose names begin with `beginning`, named without it, and all others."""
    ours = {name.removeprefix(beginning): tensor for name, tensor in tensors.items() if name.startswith(beginning)}
    return ours, {name: tensor for name, tensor in tensors.items() if not name.startswith(beginning)}


def mean_of_heads(own: dict[str, Tensor], taught: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean of two linear heads of two tokens (distilled DeiT) as one map of both tokens, one after the other."""
    return {
        "weight": torch.cat([own["weight"], taught["weight"]], dim=1) / 2,
        "bias": (widened(own["bias"]) + widened(taught["bias"])) / 2,
    }
