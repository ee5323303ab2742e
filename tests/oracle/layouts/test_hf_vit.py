"""ViT, DINO, DeiT (plain) and MAE of transformers against `chiasm.load`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from torch import Tensor

import chiasm
from chiasm.models.classifier import Classifier

transformers = pytest.importorskip("transformers")
LAYOUT = "hf_vit"
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
    "intermediate_size": 48,
}


def tokens(model: Any, images: Tensor) -> Tensor:
    trunk = model.encoder.trunk
    features = trunk(trunk.normalize(images))
    return torch.cat([features.prefix, features.patches], dim=1)


@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_vit(tmp_path, size, dtype):
    reference = redrawn(transformers.ViTModel(transformers.ViTConfig(**SHAPE)))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path)).to(dtype)
    images = pixels(*size)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        expected = reference.to(dtype)(pixel_values=inputs, interpolate_pos_encoding=True).last_hidden_state
        found = tokens(model, images)
    part = "tokens" if size == (32, 32) else "tokens at another size"
    name = "float64" if dtype == torch.float64 else "float32"
    check(LAYOUT, "ViT", "transformers.ViTModel", part, **{name: difference(found, expected)})


def test_classes(tmp_path):
    labels = {0: "cat", 1: "dog", 2: "owl"}
    config = transformers.ViTConfig(**SHAPE, id2label=labels, label2id={name: key for key, name in labels.items()})
    reference = redrawn(transformers.ViTForImageClassification(config))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    images = pixels(32, 32)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
    check(LAYOUT, "ViT", "transformers.ViTForImageClassification", "logits", float64=difference(found, expected))
    assert not unmoved(model, lambda: model(images))
