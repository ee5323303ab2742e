"""DeiT with distillation of transformers against `chiasm.load`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from vit_families import SHAPE, check_defaults, check_hidden, check_layers, check_spellings, check_tokens, tokens

import chiasm
from chiasm.models.classifier import Classifier

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY = "hf_deit", "DeiT"
LABELS = {0: "cat", 1: "dog", 2: "owl"}


def deit(folder: Path, kind: str, **settings: Any) -> Any:
    names = {name: number for number, name in LABELS.items()}
    config = transformers.DeiTConfig(**SHAPE, intermediate_size=48, id2label=LABELS, label2id=names, **settings)
    reference = redrawn(getattr(transformers, kind)(config))
    reference.save_pretrained(folder)
    return reference


def test_tokens(tmp_path):
    from transformers.models.deit import modeling_deit

    reference = deit(tmp_path, "DeiTModel")
    check_tokens(LAYOUT, FAMILY, tmp_path, reference, modeling_deit, interpolate_pos_encoding=True)
    check_layers(LAYOUT, FAMILY, tmp_path, reference)
    model = chiasm.load(str(tmp_path))
    assert not unmoved(model, lambda: tokens(model, pixels(32, 32)))


@pytest.mark.parametrize(
    ("kind", "width"), [("DeiTForImageClassification", 32), ("DeiTForImageClassificationWithTeacher", 64)]
)
def test_classes(tmp_path, kind, width):
    reference = deit(tmp_path, kind)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    assert model.encoder.embed_dim == width
    images = pixels(32, 32)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        double = difference(model(images), reference(pixel_values=inputs).logits)
        nearly = copy.deepcopy(reference).float()(pixel_values=inputs.float()).logits
        single = difference(chiasm.load(str(tmp_path)).float()(images), nearly)
    check(LAYOUT, FAMILY, f"transformers.{kind}", "logits", float64=double, float32=single)
    assert not unmoved(model, lambda: model(images))


def test_both_heads_of_a_taught_model_are_read(tmp_path):
    """Without either head the answer is another one."""
    reference = deit(tmp_path, "DeiTForImageClassificationWithTeacher")
    before = chiasm.load(str(tmp_path))(pixels(32, 32))
    for name in ("cls_classifier", "distillation_classifier"):
        changed = copy.deepcopy(reference)
        getattr(changed, name).weight.data.zero_()
        changed.save_pretrained(tmp_path)
        assert difference(chiasm.load(str(tmp_path))(pixels(32, 32)), before) > 1e-2


def test_masked_image_modelling(tmp_path):
    reference = deit(tmp_path, "DeiTForMaskedImageModeling", encoder_stride=4)
    mask = check_hidden(LAYOUT, FAMILY, tmp_path, reference.deit)
    model = chiasm.load(str(tmp_path))
    assert not unmoved(model, lambda: tokens(model, pixels(32, 32), patch_mask=mask))


def test_both_spellings_of_names(tmp_path):
    reference = deit(tmp_path, "DeiTForImageClassification")
    old, new = "deit.encoder.layer.1.output.dense.bias", "deit.layers.1.mlp.fc2.bias"
    check_spellings(tmp_path, reference, old, new)


def test_settings_that_are_left_out():
    check_defaults(LAYOUT, "deit", transformers.DeiTConfig())


def test_half_precision_is_added_up_in_single(tmp_path):
    """Positions that become part of tokens, and two heads that become one, are summed as exactly as the rest."""
    reference = deit(tmp_path, "DeiTForImageClassificationWithTeacher").to(torch.bfloat16)
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    images = pixels(32, 32)
    with torch.no_grad():
        expected = reference.float()(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
    check(LAYOUT, FAMILY, f"transformers.{type(reference).__name__}", "logits", float32=difference(found, expected))
