"""DINOv2 of transformers, with and without registers, against `chiasm.load`."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from vit_families import SHAPE, check_defaults, check_hidden, check_layers, check_spellings, check_tokens, tokens

import chiasm
from chiasm.models.classifier import Classifier
from chiasm.trunks.vit import VisionTransformer

transformers = pytest.importorskip("transformers")
LAYOUT = "hf_dinov2"
KINDS = {"DINOv2": "Dinov2", "DINOv2 with registers": "Dinov2WithRegisters"}


def dinov2(folder: Path, family: str, kind: str, **settings: Any) -> Any:
    if family == "DINOv2 with registers":
        settings = {"num_register_tokens": 3, **settings}
    config = getattr(transformers, f"{KINDS[family]}Config")(**SHAPE, mlp_ratio=2, **settings)
    reference = redrawn(getattr(transformers, f"{KINDS[family]}{kind}")(config))
    reference.save_pretrained(folder)
    return reference


@pytest.mark.parametrize("settings", [{"qkv_bias": False}, {"use_swiglu_ffn": True}], ids=["gelu", "swiglu"])
@pytest.mark.parametrize("family", KINDS)
def test_tokens(tmp_path, family, settings):
    reference = dinov2(tmp_path, family, "Model", **settings)
    check_tokens(LAYOUT, family, tmp_path, reference, sys.modules[type(reference).__module__])
    check_layers(LAYOUT, family, tmp_path, reference)
    mask = check_hidden(LAYOUT, family, tmp_path, reference)
    model = chiasm.load(str(tmp_path))
    assert not unmoved(model, lambda: tokens(model, pixels(32, 32), patch_mask=mask))


def test_without_a_mask_token(tmp_path):
    dinov2(tmp_path, "DINOv2", "Model", use_mask_token=False)
    trunk = chiasm.load(str(tmp_path)).encoder.trunk
    assert isinstance(trunk, VisionTransformer)
    assert trunk.hides_patches


@pytest.mark.parametrize("family", KINDS)
def test_classes(tmp_path, family):
    reference = dinov2(tmp_path, family, "ForImageClassification", num_labels=3)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Classifier)
    assert model.head.classes == ("LABEL_0", "LABEL_1", "LABEL_2")
    images = pixels(32, 32)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        double = difference(model(images), reference(pixel_values=inputs).logits)
        nearly = copy.deepcopy(reference).float()(pixel_values=inputs.float()).logits
        single = difference(chiasm.load(str(tmp_path)).float()(images), nearly)
    check(LAYOUT, family, f"transformers.{type(reference).__name__}", "logits", float64=double, float32=single)
    assert not unmoved(model, lambda: model(images), ("image_encoder.trunk.hiding",))


def test_both_spellings_of_names(tmp_path):
    old, new = "encoder.layer.0.attention.attention.query.weight", "encoder.layer.0.attention.q_proj.weight"
    check_spellings(tmp_path, dinov2(tmp_path, "DINOv2", "Model"), old, new)


@pytest.mark.parametrize("family", KINDS)
def test_both_spellings_of_a_gated_layer(tmp_path, family):
    reference = dinov2(tmp_path, family, "Model", use_swiglu_ffn=True)
    check_spellings(
        tmp_path, reference, "encoder.layer.0.mlp.weights_in.weight", "encoder.layer.0.mlp.gate_proj.weight"
    )


def test_settings_that_are_left_out():
    check_defaults(LAYOUT, "dinov2", transformers.Dinov2Config())
    check_defaults(LAYOUT, "dinov2_with_registers", transformers.Dinov2WithRegistersConfig())
