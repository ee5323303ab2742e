"""The vision transformer against slow formulas: hidden patches as forbidden attention, a block written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.layers.positions import Rotation
from chiasm.trunks.vit import Config

KINDS = {
    "learned": {},
    "sincos": {"positions": {"kind": "sincos"}, "cls_token": False},
    "rotary": {"positions": {"kind": "rotary"}, "num_register_tokens": 2, "layer_scale": 0.5},
}
SHAPE = {"embed_dim": 24, "depth": 2, "num_heads": 3, "image_size": 20, "patch_size": 4}


def trunk_of(kind: str) -> Any:
    torch.manual_seed(0)
    trunk = Config.parse({**SHAPE, **KINDS[kind]}, "trunk").build().double().eval()
    for parameter in trunk.parameters():
        nn.init.normal_(parameter, std=0.3)
    return trunk


def normed(tokens: Tensor, norm: Any) -> Tensor:
    return functional.layer_norm(tokens, (24,), norm.weight, norm.bias, 1e-6)


def scaled(tokens: Tensor, scale: Any) -> Tensor:
    return tokens * getattr(scale, "gain", 1.0)


def slow_block(block: Any, tokens: Tensor, allowed: Tensor, rotation: Rotation | None) -> Tensor:
    """One block, head by head, where token i may look at token j only if `allowed[b, j]`."""
    seen = normed(tokens, block.attention_norm)
    joint = functional.linear(seen, block.attention.query_key_value.weight, block.attention.query_key_value.bias).chunk(
        9, dim=-1
    )
    heads = []
    for head in range(3):
        query, key, value = joint[head], joint[3 + head], joint[6 + head]
        if rotation is not None:
            query, key = rotation.turn(query.unsqueeze(1))[:, 0], rotation.turn(key.unsqueeze(1))[:, 0]
        scores = torch.einsum("bqd,bkd->bqk", query, key) / math.sqrt(8)
        shares = scores.masked_fill(~allowed.unsqueeze(1), -math.inf).softmax(dim=2)
        heads.append(torch.einsum("bqk,bkd->bqd", shares, value))
    projected = block.attention.projection(torch.cat(heads, dim=2))
    tokens = tokens + scaled(projected, block.attention_scale)
    hidden = block.mlp.up(normed(tokens, block.mlp_norm))
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return tokens + scaled(block.mlp.down(hidden), block.mlp_scale)


def slow_forward(trunk: Any, images: Tensor, patch_mask: Tensor) -> Tensor:
    """All tokens go through all blocks, but none looks at a hidden patch."""
    weight = trunk.patch_embedding.projection.weight.unflatten(1, (3, 4, 4))
    patches = functional.conv2d(images, weight, trunk.patch_embedding.projection.bias, stride=4)
    patches = patches.flatten(2).transpose(1, 2)
    added = trunk.positions.added((5, 5), torch.zeros(1))
    tokens = trunk.prefix(patches if added is None else patches + added)
    num_prefix = trunk.prefix.num_tokens
    rotation = trunk.positions.rotation((5, 5), torch.float64, torch.device("cpu"))
    allowed = functional.pad(~patch_mask, (num_prefix, 0), value=True)
    for block in trunk.blocks:
        tokens = slow_block(block, tokens, allowed, rotation.after(num_prefix) if rotation else None)
    return normed(tokens, trunk.norm)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [0, 18])
def test_the_visible_subset_is_the_full_forward_with_hidden_patches_forbidden(kind, hidden):
    trunk = trunk_of(kind)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 20, 20, dtype=torch.float64, generator=generator)
    patch_mask = torch.rand(2, 25, generator=generator).argsort(dim=1) < hidden
    features = trunk(images, patch_mask=patch_mask)
    expected = slow_forward(trunk, images, patch_mask)
    num_prefix = trunk.prefix.num_tokens
    torch.testing.assert_close(features.prefix, expected[:, :num_prefix], rtol=0, atol=1e-9)
    for picture in range(2):
        rows = expected[picture, num_prefix:][~patch_mask[picture]]
        torch.testing.assert_close(features.patches[picture], rows, rtol=0, atol=1e-9)
