"""The vision transformer against the reference models of the families that are cases of it.

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
        resized_tolerance: 1e-5 where the reference resamples positions in float32 always.
    """

    reference: Callable[[], nn.Module]
    settings: dict[str, object]
    rename: dict[str, str]
    ignored: tuple[str, ...] = ()
    resized: dict[str, bool] = field(default_factory=dict)
    resized_tolerance: float = 1e-9


BLOCK = {
    "model.layer.": "blocks.",
    "encoder.layers.": "blocks.",
    "encoder.layer.": "blocks.",
    "layers.": "blocks.",
    ".self_attn.": ".attention.",
    ".o_proj.": ".projection.",
    ".out_proj.": ".projection.",
    ".norm1.": ".attention_norm.",
    ".norm2.": ".mlp_norm.",
    ".layer_norm1.": ".attention_norm.",
    ".layer_norm2.": ".mlp_norm.",
    ".layernorm_before.": ".attention_norm.",
    ".layernorm_after.": ".mlp_norm.",
    ".layer_scale1.lambda1": ".attention_scale.gain",
    ".layer_scale2.lambda1": ".mlp_scale.gain",
    ".fc1.": ".up.",
    ".fc2.": ".down.",
    ".down_proj.": ".down.",
    "pre_layrnorm.": "pre_norm.",
    "post_layernorm.": "norm.",
    "layernorm.": "norm.",
    "embeddings.patch_embeddings.projection.": "patch_embedding.projection.",
    "embeddings.patch_embeddings.": "patch_embedding.projection.",
    "embeddings.patch_embedding.": "patch_embedding.projection.",
    "embeddings.cls_token": "prefix.cls_token",
    "embeddings.class_embedding": "prefix.cls_token",
    "embeddings.register_tokens": "prefix.register_tokens",
    "embeddings.mask_token": "hiding.mask_token",
    "embeddings.position_embeddings": "positions.table",
    "embeddings.position_embedding.weight": "positions.table",
}


def vit() -> nn.Module:
    config = transformers.ViTConfig(**SHAPE, intermediate_size=64, layer_norm_eps=1e-4)
    return transformers.ViTModel(config, add_pooling_layer=False)


def dinov2() -> nn.Module:
    return transformers.Dinov2Model(transformers.Dinov2Config(**SHAPE, mlp_ratio=2, qkv_bias=False))


def registers() -> nn.Module:
    config = transformers.Dinov2WithRegistersConfig(**SHAPE, mlp_ratio=2, num_register_tokens=3, use_swiglu_ffn=True)
    return transformers.Dinov2WithRegistersModel(config)


def dinov3() -> nn.Module:
    config = transformers.DINOv3ViTConfig(
        **SHAPE, intermediate_size=48, num_register_tokens=3, use_gated_mlp=True, hidden_act="silu"
    )
    return transformers.DINOv3ViTModel(config)


def clip() -> nn.Module:
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SHAPE, intermediate_size=64))


def siglip() -> nn.Module:
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SHAPE, intermediate_size=64))


ASKED = {"interpolate_pos_encoding": True}
MASK_TOKEN = {"kind": "mask_token"}
FAMILIES = {
    "vit": Family(vit, {"norm_eps": 1e-4, "mlp": {"mlp_ratio": 2, "kind": "gelu"}}, BLOCK, resized=ASKED),
    "dinov2": Family(
        dinov2,
        {"mlp": {"kind": "gelu", "mlp_ratio": 2}, "layer_scale": 1.0, "hiding": MASK_TOKEN, "qkv_bias": False},
        BLOCK,
        resized_tolerance=1e-5,
    ),
    "registers": Family(
        registers,
        {
            "mlp": {"kind": "swiglu", "mlp_ratio": 2},
            "layer_scale": 1.0,
            "hiding": MASK_TOKEN,
            "num_register_tokens": 3,
            "positions": {"kind": "learned", "resampling": {"antialias": True}},
        },
        BLOCK,
        resized_tolerance=1e-5,
    ),
    "dinov3": Family(
        dinov3,
        {
            "mlp": {"kind": "swiglu", "hidden_dim": 48},
            "layer_scale": 1.0,
            "hiding": MASK_TOKEN,
            "num_register_tokens": 3,
            "positions": {"kind": "rotary", "theta": 100.0},
            "key_bias": False,
            "norm_eps": 1e-5,
        },
        BLOCK | {"norm.": "norm."},
        ignored=("rope_embeddings.inv_freq",),
    ),
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
    """Join what the trunk holds as one: q, k, v; gate and up; the class token and its position."""
    weights = dict(weights)
    for name in [name for name in weights if ".q_proj." in name]:
        base, kind = name.split("q_proj.")
        there = [f"{base}{part}_proj.{kind}" for part in "qkv" if f"{base}{part}_proj.{kind}" in weights]
        parts = [weights.pop(part) for part in there]
        if len(parts) == 2:
            weights[f"{base}query_key_value.query_bias"], weights[f"{base}query_key_value.value_bias"] = parts
        else:
            weights[f"{base}query_key_value.{kind}"] = torch.cat(parts)
    for name in [name for name in weights if ".gate_proj." in name]:
        gate, up = weights.pop(name), weights.pop(name.replace("gate_proj", "up_proj"))
        weights[name.replace("gate_proj", "gate_up")] = torch.cat([gate, up])
    patch = "patch_embedding.projection.weight"
    weights[patch] = weights[patch].flatten(1)
    for name in ("prefix.cls_token", "prefix.register_tokens", "hiding.mask_token", "positions.table"):
        if name in weights:
            weights[name] = weights[name].reshape(1, -1, 32)
    if "positions.table" in weights and "prefix.cls_token" in weights:
        weights["prefix.cls_token"] = weights["prefix.cls_token"] + weights["positions.table"][:, :1]
        weights["positions.table"] = weights["positions.table"][:, 1:]
    return weights


def pair(name: str) -> tuple[Any, VisionTransformer]:
    family = FAMILIES[name]
    reference = redrawn(family.reference())
    if name == "dinov3":
        # A formula, which the reference keeps in float32; the trunk never stores it.
        reference.rope_embeddings.inv_freq.data = 100.0 ** -torch.arange(0, 1, 4 / 16, dtype=torch.float64)
    trunk = Config.parse({**OURS, **family.settings}, name).build().double().eval()
    trunk.load_state_dict(joined(renamed(reference, family.rename, family.ignored)))
    return reference, trunk


@pytest.fixture(autouse=True)
def _coordinates_in_float64(monkeypatch):
    """The rotary reference computes its coordinates in float32 whatever the model's precision."""
    from transformers.models.dinov3_vit import modeling_dinov3_vit as module

    exact = module.get_patches_center_coordinates
    monkeypatch.setattr(
        module,
        "get_patches_center_coordinates",
        lambda rows, columns, dtype, device: exact(rows, columns, torch.float64, device),
    )


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
    torch.testing.assert_close(found, expected, rtol=0, atol=family.resized_tolerance)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_of_the_reference_is_used(name):
    """Moving any weight moves the tokens, so that agreement is agreement of all parts."""
    _, trunk = pair(name)
    before = tokens_of(trunk(images()))
    for key, parameter in trunk.named_parameters():
        if key == "hiding.mask_token":
            continue
        saved = parameter.detach().clone()
        with torch.no_grad():
            # Not by a constant: a norm would take it out again.
            parameter.add_(torch.linspace(0, 0.5, parameter.numel(), dtype=torch.float64).view_as(parameter))
            assert (tokens_of(trunk(images())) - before).abs().max() > 1e-6, key
            parameter.copy_(saved)


@pytest.mark.parametrize("name", ["dinov2", "registers", "dinov3"])
def test_hidden_patches_replaced_by_the_mask_token(name):
    reference, trunk = pair(name)
    mask = torch.rand(2, 64, generator=torch.Generator().manual_seed(4)) < 0.4
    expected = last_state(reference, pixel_values=images(), bool_masked_pos=mask)
    torch.testing.assert_close(tokens_of(trunk(images(), patch_mask=mask)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["vit", "dinov2"])
def test_layers_without_the_final_norm_are_the_references_hidden_states(name):
    reference, trunk = pair(name)
    trunk.norm = nn.Identity()
    with torch.no_grad():
        states = reference(pixel_values=images(), output_hidden_states=True).hidden_states
    found = trunk(images(), layers=[0, 1]).intermediates
    for features, expected in zip(found, states[1:], strict=True):
        torch.testing.assert_close(tokens_of(features), expected, rtol=0, atol=1e-9)


def table_of(trunk: VisionTransformer) -> Tensor:
    table = trunk.positions.added((8, 8), torch.zeros(1, dtype=torch.float64))
    assert table is not None
    return table


def mae() -> tuple[Any, VisionTransformer]:
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

    reference: Any = redrawn(transformers.ViTMAEModel(transformers.ViTMAEConfig(**SHAPE, intermediate_size=64)))
    settings = {"positions": {"kind": "sincos"}, "norm_eps": 1e-12, "mlp": {"kind": "gelu", "mlp_ratio": 2}}
    trunk = Config.parse({**OURS, **settings}, "mae").build().double().eval()
    # A fresh reference leaves its table zero; its weights hold this one, the halves exchanged.
    table = build_2d_sinusoidal_position_embedding(8, 8, 32, dtype=torch.float64).roll(16, dims=1)
    torch.testing.assert_close(table_of(trunk)[0], table, rtol=0, atol=1e-7)
    reference.embeddings.position_embeddings.data = nn.functional.pad(table_of(trunk), (0, 0, 1, 0))
    weights = joined(renamed(reference, BLOCK))
    torch.testing.assert_close(weights.pop("positions.table"), table_of(trunk), rtol=0, atol=0)
    trunk.load_state_dict(weights)
    return reference, trunk


@pytest.mark.parametrize("mask_ratio", [0.0, 0.75])
def test_masked_autoencoders_see_the_visible_patches_only(mask_ratio):
    reference, trunk = mae()
    reference.embeddings.config.mask_ratio = mask_ratio
    noise = torch.rand(2, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    with torch.no_grad():
        answer = reference(pixel_values=images(), noise=noise)
    features = trunk(images(), patch_mask=answer.mask.bool())
    # The reference leaves visible patches in the order of their noise, the trunk in that of the picture.
    visible, order = noise.argsort(dim=1)[:, : features.patches.shape[1]].sort(dim=1)
    expected = answer.last_hidden_state[:, 1:].gather(1, order.unsqueeze(-1).expand(-1, -1, 32))
    assert torch.equal(features.visible, visible)
    assert visible.shape[1] == round(64 * (1 - mask_ratio))
    torch.testing.assert_close(features.patches, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(features.prefix[:, 0], answer.last_hidden_state[:, 0], rtol=0, atol=1e-9)


def test_masked_autoencoders_at_another_resolution():
    reference, trunk = mae()
    reference.embeddings.config.mask_ratio = 0.0
    noise = torch.arange(60.0, dtype=torch.float64).expand(2, -1)
    with torch.no_grad():
        answer = reference(pixel_values=images(24, 40), noise=noise, interpolate_pos_encoding=True)
    torch.testing.assert_close(tokens_of(trunk(images(24, 40))), answer.last_hidden_state, rtol=0, atol=1e-9)
