"""Swin of transformers against `chiasm.load`: tokens of every stage, windows of every fit, hidden patches, classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved

import chiasm
from chiasm.core.errors import InputError
from chiasm.models.classifier import Classifier

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY, REFERENCE = "hf_swin", "Swin", "transformers.SwinModel"
# The first stage's 16 x 16 patches are 4 x 4 windows; the second's are 2 x 2 and the third's one.
SHAPE: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 1, 2],
    "num_heads": [2, 2, 4],
    "window_size": 4,
}
# Patches are filled up (33), merging fills up (36 -> 18 -> 9 -> 5), windows do (18 of 4), and in the last of these the
# third stage is a row of windows that are not shifted, since one covers its shorter side.
SIZES = [(32, 32), (48, 32), (36, 52), (33, 47), (32, 64)]
NAMES = {torch.float64: "float64", torch.float32: "float32"}


def saved(tmp_path: Any, kind: str = "SwinModel", deviation: float = 0.2, **changes: Any) -> Any:
    """A reference, saved as its users would."""
    labels = changes.pop("id2label", {})
    settings = SHAPE | changes | ({"id2label": labels, "label2id": {v: k for k, v in labels.items()}} if labels else {})
    reference = redrawn(getattr(transformers, kind)(transformers.SwinConfig(**settings)), deviation=deviation)
    reference.save_pretrained(tmp_path)
    return reference


def fresh(reference: Any) -> Any:
    """Once a picture was small, the reference keeps its smaller windows for good; this gives it its own again."""
    for block in (block for stage in reference.encoder.layers for block in stage.blocks):
        block.window_size = SHAPE["window_size"]
    for stage in reference.encoder.layers:
        for place, block in enumerate(stage.blocks):
            block.shift_size = SHAPE["window_size"] // 2 if place % 2 else 0
    return reference


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tokens(tmp_path, size, dtype):
    reference = saved(tmp_path).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    trunk = model.encoder.trunk
    images = pixels(*size)
    with torch.no_grad():
        expected = fresh(reference)(pixel_values=trunk.normalize(images))
        found = trunk(trunk.normalize(images))
        vectors = model(images)
    assert found.grid == trunk(trunk.normalize(images), layers=[-1]).intermediates[0].grid
    part = "tokens" if size == (32, 32) else "tokens at another size"
    check(LAYOUT, FAMILY, REFERENCE, part, **{NAMES[dtype]: difference(found.patches, expected.last_hidden_state)})
    check(LAYOUT, FAMILY, REFERENCE, "vectors", **{NAMES[dtype]: difference(vectors, expected.pooler_output)})


@pytest.mark.parametrize("size", [(32, 32), (36, 52)])
def test_stages(tmp_path, size):
    reference = saved(tmp_path)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(*size))
    with torch.no_grad():
        stem = reference.embeddings(images)
        encoded = reference.encoder(*stem, output_hidden_states=True, output_hidden_states_before_downsampling=True)
        found = trunk(images, layers=[0, 1, 2]).intermediates
    for features, expected in zip(found, encoded.reshaped_hidden_states[1:], strict=True):
        assert features.grid == expected.shape[-2:]
        check(LAYOUT, FAMILY, REFERENCE, "stages", float64=difference(features.patch_map(), expected))


@pytest.mark.parametrize("use_prefix", [True, False])
def test_hidden_patches(tmp_path, use_prefix):
    torch.manual_seed(0)
    model = transformers.SwinForMaskedImageModeling(transformers.SwinConfig(**SHAPE, encoder_stride=8))
    whole = redrawn(model)
    reference = whole.swin
    (whole if use_prefix else reference).save_pretrained(tmp_path)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(32, 32))
    mask = torch.rand(2, 256, generator=torch.Generator().manual_seed(5)) < 0.6
    with torch.no_grad():
        expected = reference(pixel_values=images, bool_masked_pos=mask).last_hidden_state
        found = trunk(images, patch_mask=mask).patches
    part = "tokens of masked pictures"
    check(LAYOUT, FAMILY, "transformers.SwinForMaskedImageModeling", part, float64=difference(found, expected))
    assert not unmoved(trunk, lambda: trunk(images, patch_mask=mask).patches)


def test_classes(tmp_path):
    reference = saved(tmp_path, "SwinForImageClassification", id2label={0: "cat", 1: "dog", 2: "owl"})
    model = chiasm.load(str(tmp_path)).double()
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    images = pixels(32, 32)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
    name = "transformers.SwinForImageClassification"
    check(LAYOUT, FAMILY, name, "logits", float64=difference(found, expected))
    assert not unmoved(model, lambda: model(images))


def test_other_settings(tmp_path):
    changes = {"qkv_bias": False, "hidden_act": "gelu_new", "mlp_ratio": 2.5, "layer_norm_eps": 1e-3}
    reference = saved(tmp_path, **changes)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(32, 48))
    with torch.no_grad():
        expected = fresh(reference)(pixel_values=images).last_hidden_state
        found = trunk(images).patches
    check(LAYOUT, FAMILY, REFERENCE, "tokens", float64=difference(found, expected))


def test_stored_formulas_are_left_out_and_what_is_missing_is_told(tmp_path):
    from safetensors.torch import load_file, save_file

    saved(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    table = "encoder.layers.0.blocks.1.attention.self.relative_position_bias_table"
    assert table in tensors
    older = tensors | {table.replace("_bias_table", "_index"): torch.zeros(16, 16, dtype=torch.int64)}
    save_file(older, file, {"format": "pt"})
    chiasm.load(str(tmp_path))
    save_file({name: tensor for name, tensor in tensors.items() if name != table}, file, {"format": "pt"})
    with pytest.raises(InputError, match="1 missing") as caught:
        chiasm.load(str(tmp_path))
    assert "trunk.stages.0.blocks.1.attention.bias.table" in caught.value.details


def test_positions_of_patches_are_refused(tmp_path):
    saved(tmp_path, use_absolute_embeddings=True)
    with pytest.raises(InputError, match="use_absolute_embeddings False"):
        chiasm.load(str(tmp_path))
