"""The vision transformer against the image sides of CLIP and SigLIP.

Each reference is tiny and gets every parameter and buffer redrawn, so that no zero or tiny initial value hides a part.
Its weights are mapped to the trunk's names; a weight that is left over or missing fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chiasm.core.features import Features
from chiasm.trunks.vit import Config, VisionTransformer

transformers = pytest.importorskip("transformers")

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 4}
OURS = {"embed_dim": 32, "depth": 2, "num_heads": 2, "image_size": 32, "patch_size": 4}
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Family:
    """One reference and the settings that make the trunk the same.

    Attributes:
        reference: makes the reference model.
        settings: of the trunk.
        rename: what to call the reference's weights, by parts of their names, first match first.
        ignored: beginnings of names that the trunk has no place for.
        resized: what the reference has to be told to take pictures of another size.
    """

    reference: Callable[[], nn.Module]
    settings: dict[str, object]
    rename: dict[str, str]
    ignored: tuple[str, ...] = ()
    resized: dict[str, bool] = field(default_factory=dict)


BLOCK = {
    "encoder.layers.": "blocks.",
    ".self_attn.": ".attention.",
    ".out_proj.": ".projection.",
    ".layer_norm1.": ".attention_norm.",
    ".layer_norm2.": ".mlp_norm.",
    ".fc1.": ".up.",
    ".fc2.": ".down.",
    "pre_layrnorm.": "pre_norm.",
    "post_layernorm.": "norm.",
    "embeddings.patch_embeddings.projection.": "patch_embedding.projection.",
    "embeddings.patch_embeddings.": "patch_embedding.projection.",
    "embeddings.patch_embedding.": "patch_embedding.projection.",
    "embeddings.class_embedding": "prefix.cls_token",
    "embeddings.position_embeddings": "positions.table",
    "embeddings.position_embedding.weight": "positions.table",
}


def clip() -> nn.Module:
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SHAPE, intermediate_size=64))


def siglip() -> nn.Module:
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SHAPE, intermediate_size=64))


ASKED = {"interpolate_pos_encoding": True}
FAMILIES = {
    "clip": Family(
        clip,
        {
            "mlp": {"kind": "gelu_quick", "mlp_ratio": 2},
            "pre_norm": True,
            "stem": {"bias": False},
            "norm_eps": 1e-5,
        },
        BLOCK,
        ignored=("embeddings.position_ids",),
        resized=ASKED,
    ),
    "siglip": Family(
        siglip,
        {"mlp": {"kind": "gelu_tanh", "mlp_ratio": 2}, "cls_token": False},
        BLOCK,
        ignored=("embeddings.position_ids", "head."),
        resized=ASKED,
    ),
}


def redrawn(model: nn.Module) -> Any:
    """The model in float64 with every floating-point parameter and buffer from N(0, 0.2)."""
    generator = torch.Generator().manual_seed(0)
    model = model.double().eval()
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data.normal_(0, 0.2, generator=generator)
    return model


def renamed(reference: nn.Module, rename: dict[str, str], ignored: tuple[str, ...] = ()) -> Weights:
    """The reference's weights under the trunk's names, but for those that have to be joined."""
    found: Weights = {}
    state = dict(reference.named_parameters()) | dict(reference.named_buffers())
    for name, tensor in state.items():
        if ignored and name.startswith(ignored):
            continue
        for old, new in rename.items():
            if name.startswith(old) or (old.startswith(".") and old in name):
                name = name.replace(old, new, 1)
        found[name] = tensor.detach()
    return found


def joined(weights: Weights) -> Weights:
    """Join what the trunk holds as one: q, k, v; the class token and its position."""
    weights = dict(weights)
    for name in [name for name in weights if ".q_proj." in name]:
        base, kind = name.split("q_proj.")
        there = [f"{base}{part}_proj.{kind}" for part in "qkv" if f"{base}{part}_proj.{kind}" in weights]
        parts = [weights.pop(part) for part in there]
        weights[f"{base}query_key_value.{kind}"] = torch.cat(parts)
    patch = "patch_embedding.projection.weight"
    weights[patch] = weights[patch].flatten(1)
    for name in ("prefix.cls_token", "positions.table"):
        if name in weights:
            weights[name] = weights[name].reshape(1, -1, 32)
    if "positions.table" in weights and "prefix.cls_token" in weights:
        weights["prefix.cls_token"] = weights["prefix.cls_token"] + weights["positions.table"][:, :1]
        weights["positions.table"] = weights["positions.table"][:, 1:]
    return weights


def pair(name: str) -> tuple[Any, VisionTransformer]:
    family = FAMILIES[name]
    reference = redrawn(family.reference())
    trunk = Config.parse({**OURS, **family.settings}, name).build().double().eval()
    trunk.load_state_dict(joined(renamed(reference, family.rename, family.ignored)))
    return reference, trunk


def images(height_px: int = 32, width_px: int = 32) -> Tensor:
    return torch.randn(2, 3, height_px, width_px, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def last_state(reference: Any, **inputs: object) -> Tensor:
    """The reference's last tokens, normed: CLIP's model itself norms the class token only."""
    with torch.no_grad():
        tokens = reference(**inputs).last_hidden_state
        return reference.post_layernorm(tokens) if isinstance(reference, transformers.CLIPVisionModel) else tokens


def tokens_of(features: Features) -> Tensor:
    return torch.cat([features.prefix, features.patches], dim=1)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_trunk_gives_the_numbers_of_its_reference(name):
    reference, trunk = pair(name)
    expected = last_state(reference, pixel_values=images())
    torch.testing.assert_close(tokens_of(trunk(images())), expected, rtol=0, atol=1e-9)
    changed = images()
    changed[:, :, 5, 7] += 1
    assert (tokens_of(trunk(changed)) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_in_float32_too(name):
    reference, trunk = pair(name)
    expected = last_state(reference.float(), pixel_values=images().float())
    torch.testing.assert_close(tokens_of(trunk.float()(images().float())), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [(16, 64), (24, 20), (48, 48)])
def test_at_another_resolution(name, size):
    reference, trunk = pair(name)
    family = FAMILIES[name]
    expected = last_state(reference, pixel_values=images(*size), **family.resized)
    found = tokens_of(trunk(images(*size)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_of_the_reference_is_used(name):
    """Moving any weight moves the tokens, so that agreement is agreement of all parts."""
    _, trunk = pair(name)
    before = tokens_of(trunk(images()))
    for key, parameter in trunk.named_parameters():
        saved = parameter.detach().clone()
        with torch.no_grad():
            # Not by a constant: a norm would take it out again.
            parameter.add_(torch.linspace(0, 0.5, parameter.numel(), dtype=torch.float64).view_as(parameter))
            assert (tokens_of(trunk(images())) - before).abs().max() > 1e-6, key
            parameter.copy_(saved)
