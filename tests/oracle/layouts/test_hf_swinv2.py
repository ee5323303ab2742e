"""Swin v2 of transformers against `chiasm.load`: tokens of every stage, other sizes and windows, hidden patches."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved

import chiasm
from chiasm.core.errors import InputError
from chiasm.models.classifier import Classifier

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY, REFERENCE = "hf_swinv2", "Swin v2", "transformers.Swinv2Model"
# The first stage's 16 x 16 patches are 4 x 4 windows of 4; the last stage's 4 x 4 are one.
SHAPE: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 1, 2],
    "num_heads": [2, 2, 4],
    "window_size": 4,
    "pretrained_window_sizes": [0, 0, 0],
}
SIZES = [(32, 32), (48, 32), (36, 52), (33, 47)]
NAMES = {torch.float64: "float64", torch.float32: "float32"}


def exact(reference: Any) -> Any:
    """The reference with its formula again, in the precision of its weights: redrawing took it for a weight."""
    for module in reference.modules():
        if hasattr(module, "relative_coords_table"):
            rows, columns = ((side - 1) for side in module.window_size)
            trained = [side - 1 for side in module.pretrained_window_size]
            over = trained if trained[0] > 0 else [max(rows, 1), max(columns, 1)]
            across, down = (torch.arange(-most, most + 1, dtype=torch.float64) for most in (rows, columns))
            offsets = 8 * torch.stack(torch.meshgrid(across / over[0], down / over[1], indexing="ij"), dim=-1)[None]
            table = offsets.sign() * torch.log2(offsets.abs() + 1) / math.log2(8)
            assert module.relative_coords_table.shape == table.shape
            module.relative_coords_table = table.to(module.logit_scale.dtype)
    return reference


def saved(tmp_path: Any, kind: str = "Swinv2Model", **changes: Any) -> Any:
    """A reference, saved as its users would."""
    reference = redrawn(getattr(transformers, kind)(transformers.Swinv2Config(**(SHAPE | changes))))
    reference.save_pretrained(tmp_path)
    return exact(reference)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tokens(tmp_path, size, dtype):
    reference = exact(saved(tmp_path).to(dtype))
    model = chiasm.load(str(tmp_path)).to(dtype)
    trunk = model.encoder.trunk
    images = pixels(*size)
    with torch.no_grad():
        expected = reference(pixel_values=trunk.normalize(images))
        found = trunk(trunk.normalize(images)).patches
        vectors = model(images)
    part = "tokens" if size == (32, 32) else "tokens at another size"
    check(LAYOUT, FAMILY, REFERENCE, part, **{NAMES[dtype]: difference(found, expected.last_hidden_state)})
    check(LAYOUT, FAMILY, REFERENCE, "vectors", **{NAMES[dtype]: difference(vectors, expected.pooler_output)})


@pytest.mark.parametrize(
    "changes",
    [
        {"window_size": 8},
        {"window_size": 16, "pretrained_window_sizes": [8, 8, 4]},
        {"window_size": 5, "pretrained_window_sizes": [3, 2, 6]},
        {"qkv_bias": False, "hidden_act": "gelu_new", "mlp_ratio": 2.5, "layer_norm_eps": 1e-3},
    ],
    ids=["windows of a stage", "windows grown", "windows that do not divide", "other parts"],
)
@pytest.mark.parametrize("size", [(32, 32), (40, 28)])
def test_other_settings(tmp_path, changes, size):
    reference = saved(tmp_path, **changes)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(*size))
    with torch.no_grad():
        expected = reference(pixel_values=images).last_hidden_state
        found = trunk(images).patches
    part = "tokens" if size == (32, 32) else "tokens at another size"
    check(LAYOUT, FAMILY, REFERENCE, part, float64=difference(found, expected))


def test_a_scale_of_more_than_a_hundred_is_one_of_a_hundred(tmp_path):
    reference = redrawn(transformers.Swinv2Model(transformers.Swinv2Config(**SHAPE)))
    for name, weight in reference.named_parameters():
        if name.endswith("logit_scale"):
            weight.data += 5
    reference.save_pretrained(tmp_path)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(32, 32))
    with torch.no_grad():
        # The reference adds its mask of -100 twice, as its authors do not; not even here can that be seen.
        expected = exact(reference)(pixel_values=images).last_hidden_state
        found = trunk(images).patches
    check(LAYOUT, FAMILY, REFERENCE, "tokens", float64=difference(found, expected))


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


def test_hidden_patches(tmp_path):
    whole = redrawn(transformers.Swinv2ForMaskedImageModeling(transformers.Swinv2Config(**SHAPE, encoder_stride=8)))
    whole.save_pretrained(tmp_path)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(32, 32))
    mask = torch.rand(2, 256, generator=torch.Generator().manual_seed(5)) < 0.6
    with torch.no_grad():
        expected = exact(whole).swinv2(pixel_values=images, bool_masked_pos=mask).last_hidden_state
        found = trunk(images, patch_mask=mask).patches
    part = "tokens of masked pictures"
    check(LAYOUT, FAMILY, "transformers.Swinv2ForMaskedImageModeling", part, float64=difference(found, expected))
    assert not unmoved(trunk, lambda: trunk(images, patch_mask=mask).patches)


def test_classes(tmp_path):
    reference = saved(tmp_path, "Swinv2ForImageClassification", id2label={0: "cat", 1: "dog", 2: "owl"})
    model = chiasm.load(str(tmp_path)).double()
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    images = pixels(32, 32)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
    name = "transformers.Swinv2ForImageClassification"
    check(LAYOUT, FAMILY, name, "logits", float64=difference(found, expected))
    assert not unmoved(model, lambda: model(images))


def test_sizes_that_cannot_be_halved_are_refused(tmp_path):
    saved(tmp_path, image_size=36)
    with pytest.raises(InputError, match="halved 2 times after patches of 2 px, but it is 36"):
        chiasm.load(str(tmp_path))
