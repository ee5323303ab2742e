"""ViT, DINO and MAE of transformers against `chiasm.load`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from vit_families import SHAPE, check_defaults, check_hidden, check_layers, check_spellings, check_tokens, tokens

import chiasm
from chiasm.core.errors import InputError
from chiasm.layers.positions import LearnedPositions, Resampling, SinCosPositions
from chiasm.models.classifier import Classifier
from chiasm.models.encoder import Encoder

transformers = pytest.importorskip("transformers")
LAYOUT = "hf_vit"
WIDE = SHAPE | {"intermediate_size": 48}
DECODER = {
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
}


def vit(folder: Path, pooler: bool = False, **settings: Any) -> Any:
    config = transformers.ViTConfig(**WIDE, layer_norm_eps=1e-4, **settings)
    reference = redrawn(transformers.ViTModel(config, add_pooling_layer=pooler))
    reference.save_pretrained(folder)
    return reference


def mae(folder: Path, **settings: Any) -> Any:
    reference = redrawn(transformers.ViTMAEModel(transformers.ViTMAEConfig(**WIDE, **DECODER, **settings)))
    reference.save_pretrained(folder)
    return reference


@pytest.mark.parametrize(
    "settings",
    [{}, {"pooler": True}, {"qkv_bias": False}, {"hidden_act": "gelu_pytorch_tanh"}],
    ids=["plain", "pooler", "no bias", "tanh"],
)
def test_tokens(tmp_path, settings):
    from transformers.models.vit import modeling_vit

    reference = vit(tmp_path, **settings)
    check_tokens(LAYOUT, "ViT, DINO", tmp_path, reference, modeling_vit, interpolate_pos_encoding=True)
    check_layers(LAYOUT, "ViT, DINO", tmp_path, reference)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Encoder)
    images = pixels(32, 32)
    assert not unmoved(model, lambda: tokens(model, images))
    assert torch.equal(model(images), tokens(model, images)[:, 0])


def test_classes(tmp_path):
    labels = {0: "cat", 1: "dog", 2: "owl"}
    config = transformers.ViTConfig(**WIDE, id2label=labels, label2id={name: key for key, name in labels.items()})
    reference = redrawn(transformers.ViTForImageClassification(config))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    images = pixels(32, 32)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
        single = chiasm.load(str(tmp_path)).float()(images)
        nearly = reference.float()(pixel_values=model.encoder.trunk.normalize(images).float()).logits
    name = "transformers.ViTForImageClassification"
    check(LAYOUT, "ViT, DINO", name, "logits", float64=difference(found, expected), float32=difference(single, nearly))
    assert not unmoved(model, lambda: model(images))


def test_masked_image_modelling(tmp_path):
    reference = redrawn(transformers.ViTForMaskedImageModeling(transformers.ViTConfig(**WIDE, encoder_stride=4)))
    reference.save_pretrained(tmp_path)
    mask = check_hidden(LAYOUT, "ViT, DINO", tmp_path, reference.vit)
    model = chiasm.load(str(tmp_path))
    assert not unmoved(model, lambda: tokens(model, pixels(32, 32), patch_mask=mask))


def test_both_spellings_of_names(tmp_path):
    old, new = "encoder.layer.0.attention.attention.query.weight", "layers.0.attention.q_proj.weight"
    check_spellings(tmp_path, vit(tmp_path, pooler=True), old, new)


@pytest.mark.parametrize(("kind", "config"), [("vit", "ViTConfig"), ("vit_mae", "ViTMAEConfig")])
def test_settings_that_are_left_out(kind, config):
    check_defaults(LAYOUT, kind, getattr(transformers, config)())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"hidden_act": "relu"}, "'relu' came"),
        ({"num_channels": 1}, "num_channels 3"),
        ({"image_size": [32, 16]}, "image_size of a square"),
    ],
)
def test_settings_that_are_not_read(tmp_path, settings, complaint):
    vit(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | settings))
    with pytest.raises(InputError, match=complaint):
        chiasm.load(str(tmp_path))


def test_sides_given_twice(tmp_path):
    vit(tmp_path)
    before = tokens(chiasm.load(str(tmp_path)), pixels(32, 32))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"image_size": [32, 32], "patch_size": [4, 4]}))
    assert difference(tokens(chiasm.load(str(tmp_path)), pixels(32, 32)), before) == 0


def test_channels_of_pictures(tmp_path):
    vit(tmp_path / "vit")
    mae(tmp_path / "mae")
    trunks: dict[str, Any] = {name: chiasm.load(str(tmp_path / name)).encoder.trunk for name in ("vit", "mae")}
    assert trunks["vit"].mean == (0.5, 0.5, 0.5)
    assert trunks["mae"].mean == (0.485, 0.456, 0.406)
    (tmp_path / "vit" / "preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3]}')
    trunk: Any = chiasm.load(str(tmp_path / "vit")).encoder.trunk
    assert trunk.mean == (0.1, 0.2, 0.3)
    assert trunk.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("size", "mask_ratio"), [((32, 32), 0.0), ((32, 32), 0.75), ((24, 40), 0.5), ((16, 64), 0.0)])
def test_masked_autoencoders_see_the_visible_patches_only(tmp_path, size, mask_ratio, dtype):
    reference = mae(tmp_path, mask_ratio=mask_ratio).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    count = size[0] * size[1] // 16
    noise = torch.rand(2, count, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    trunk: Any = model.encoder.trunk
    inputs = trunk.normalize(pixels(*size))
    with torch.no_grad():
        answer = reference(pixel_values=inputs, noise=noise, interpolate_pos_encoding=True)
        features = trunk(inputs, patch_mask=answer.mask.bool())
    # The reference leaves visible patches in the order of their noise, the trunk in that of the picture.
    visible, order = noise.argsort(dim=1)[:, : features.patches.shape[1]].sort(dim=1)
    expected = answer.last_hidden_state[:, 1:].gather(1, order.unsqueeze(-1).expand(-1, -1, 32))
    assert torch.equal(features.visible, visible)
    assert visible.shape[1] == round(count * (1 - mask_ratio))
    name = "float64" if dtype == torch.float64 else "float32"
    part = "tokens" if size == (32, 32) else "tokens at another size"
    worst = max(
        difference(features.patches, expected), difference(features.prefix[:, 0], answer.last_hidden_state[:, 0])
    )
    check(LAYOUT, "MAE", "transformers.ViTMAEModel", part, **{name: worst})


def test_masked_autoencoders_with_their_decoder(tmp_path):
    config = transformers.ViTMAEConfig(**WIDE, **DECODER, mask_ratio=0.0)
    reference = redrawn(transformers.ViTMAEForPreTraining(config))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    images = pixels(32, 32)
    noise = torch.arange(64.0).expand(2, -1)
    with torch.no_grad():
        expected = reference.vit(pixel_values=model.encoder.trunk.normalize(images), noise=noise).last_hidden_state
        found = tokens(model, images)
    check(LAYOUT, "MAE", "transformers.ViTMAEForPreTraining", "tokens", float64=difference(found, expected))
    assert not unmoved(model, lambda: tokens(model, images))


def test_positions_of_a_masked_autoencoder_are_our_formula(tmp_path):
    """What is read as a learned table is what `positions.kind` sincos computes."""
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

    reference = mae(tmp_path)
    # As the reference fills its table: the halves exchanged, a zero for the class token before it.
    stored = build_2d_sinusoidal_position_embedding(8, 8, 32, dtype=torch.float64).roll(16, dims=1)
    reference.embeddings.position_embeddings.data = torch.nn.functional.pad(stored, (0, 0, 1, 0)).unsqueeze(0)
    reference.save_pretrained(tmp_path)
    trunk: Any = chiasm.load(str(tmp_path)).encoder.trunk
    assert isinstance(trunk.positions, LearnedPositions)
    formula = SinCosPositions((8, 8), 32, Resampling(), 10_000.0, True).added((8, 8), stored)
    assert difference(formula, trunk.positions.table) < 1e-7
