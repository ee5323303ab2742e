"""DINOv3 ViT of transformers against `chiasm.load`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from references import pixels, redrawn, unmoved
from safetensors.torch import load_file, save_file
from vit_families import (
    SHAPE,
    Precise,
    check_defaults,
    check_hidden,
    check_layers,
    check_spellings,
    check_tokens,
    tokens,
)

import chiasm
from chiasm.core.errors import InputError
from chiasm.layers.positions import RotaryPositions

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY = "hf_dinov3", "DINOv3"
GATED = {"use_gated_mlp": True, "hidden_act": "silu", "num_register_tokens": 3}


def dinov3(folder: Path, **settings: Any) -> Any:
    config = transformers.DINOv3ViTConfig(**SHAPE, intermediate_size=48, **settings)
    reference = redrawn(transformers.DINOv3ViTModel(config))
    # A formula, not a weight; transformers keeps it in float32.
    steps = torch.arange(0, 1, 4 / 16, dtype=torch.float64)
    reference.rope_embeddings.inv_freq.data = config.rope_theta**-steps
    reference.save_pretrained(folder)
    return reference


@pytest.mark.parametrize(
    "settings",
    [GATED, {"num_register_tokens": 2, "rope_theta": 50.0}, {"key_bias": True}],
    ids=["gated", "gelu", "key bias, no registers"],
)
def test_tokens(tmp_path, settings):
    from transformers.models.dinov3_vit import modeling_dinov3_vit as module

    reference = dinov3(tmp_path, **settings)
    check_tokens(LAYOUT, FAMILY, tmp_path, reference, module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "torch", Precise())
        check_layers(LAYOUT, FAMILY, tmp_path, reference)
        mask = check_hidden(LAYOUT, FAMILY, tmp_path, reference)
    model = chiasm.load(str(tmp_path))
    assert not unmoved(model, lambda: tokens(model, pixels(32, 32), patch_mask=mask))


def changed_config(folder: Path, **settings: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


def test_frequencies_in_the_file_are_left_out(tmp_path):
    reference = dinov3(tmp_path)
    weights = tmp_path / "model.safetensors"
    before = tokens(chiasm.load(str(tmp_path)), pixels(32, 32))
    save_file(load_file(weights) | {"rope_embeddings.inv_freq": reference.rope_embeddings.inv_freq * 2}, weights)
    assert torch.allclose(tokens(chiasm.load(str(tmp_path)), pixels(32, 32)), before, rtol=0, atol=1e-12)


def test_disturbed_positions_are_those_of_its_training(tmp_path):
    dinov3(tmp_path)
    changed_config(tmp_path, pos_embed_shift=0.3, pos_embed_jitter=None)
    trunk: Any = chiasm.load(str(tmp_path)).encoder.trunk
    assert isinstance(trunk.positions, RotaryPositions)
    assert (trunk.positions.shift, trunk.positions.jitter, trunk.positions.rescale) == (0.3, 1.0, 2.0)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"proj_bias": False}, "proj_bias True"),
        ({"value_bias": False}, "a bias for queries and values"),
        ({"use_gated_mlp": True, "hidden_act": "gelu"}, "hidden_act silu"),
    ],
)
def test_settings_that_are_not_read(tmp_path, settings, complaint):
    dinov3(tmp_path)
    changed_config(tmp_path, **settings)
    with pytest.raises(InputError, match=complaint):
        chiasm.load(str(tmp_path))


def test_no_bias_at_all(tmp_path):
    from transformers.models.dinov3_vit import modeling_dinov3_vit as module

    reference = dinov3(tmp_path, query_bias=False, value_bias=False)
    check_tokens(LAYOUT, FAMILY, tmp_path, reference, module)


def test_both_spellings_of_names(tmp_path):
    reference = dinov3(tmp_path, **GATED)
    check_spellings(tmp_path, reference, "layer.0.mlp.gate_proj.weight", "model.layer.0.mlp.gate_proj.weight")


def test_settings_that_are_left_out():
    check_defaults(LAYOUT, "dinov3_vit", transformers.DINOv3ViTConfig())
