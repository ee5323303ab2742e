"""ConvNeXt, its second version and DINOv3's, of transformers, against `chiasm.load`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from references import check, difference, pixels, redrawn, unmoved

import chiasm
from chiasm.core.errors import InputError
from chiasm.data.open import open_source
from chiasm.models.classifier import Classifier
from chiasm.serve.reference import compare_with_reference

transformers = pytest.importorskip("transformers")
LAYOUT = "hf_convnext"
SHAPE: dict[str, Any] = {"hidden_sizes": [8, 16, 24], "depths": [1, 2, 1], "image_size": 32}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ConvNeXt": ("ConvNext", {"num_stages": 3}),
    "ConvNeXt V2": ("ConvNextV2", {"num_stages": 3}),
}
DINOV3 = ("DINOv3 ConvNeXt", "DINOv3ConvNext")
# Columns of pixels without a patch (47), and rows and columns without a partner, in both halvings.
SIZES = [(32, 32), (48, 32), (44, 60), (47, 33)]
NAMES = {torch.float64: "float64", torch.float32: "float32"}


def saved(tmp_path: Any, family: str, ending: str = "Model", **changes: Any) -> Any:
    """A reference, saved as its users would."""
    config = getattr(transformers, f"{family}Config")(**(SHAPE | changes))
    reference = redrawn(getattr(transformers, f"{family}{ending}")(config))
    reference.save_pretrained(tmp_path)
    return reference


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", FAMILIES)
def test_tokens(tmp_path, name, dtype, size):
    family, settings = FAMILIES[name]
    reference = saved(tmp_path, family, **settings).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    trunk = model.encoder.trunk
    images = pixels(*size)
    with torch.no_grad():
        expected = reference(pixel_values=trunk.normalize(images))
        found = trunk(trunk.normalize(images))
        vectors = model(images)
    part = "tokens" if size == (32, 32) else "tokens at another size"
    maps = difference(found.patch_map(), expected.last_hidden_state)
    check(LAYOUT, name, f"transformers.{family}Model", part, **{NAMES[dtype]: maps})
    pooled = difference(vectors, expected.pooler_output)
    check(LAYOUT, name, f"transformers.{family}Model", "vectors", **{NAMES[dtype]: pooled})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_dinov3(tmp_path, dtype, size):
    name, family = DINOV3
    reference = saved(tmp_path, family, layer_norm_eps=1e-4).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    trunk = model.encoder.trunk
    images = pixels(*size)
    with torch.no_grad():
        expected = reference(pixel_values=trunk.normalize(images))
        found = trunk(trunk.normalize(images))
        vectors = model(images)
    assert found.num_class_tokens == 1
    tokens = torch.cat([found.prefix, found.patches], dim=1)
    part = "tokens" if size == (32, 32) else "tokens at another size"
    figure = difference(tokens, expected.last_hidden_state)
    check(LAYOUT, name, f"transformers.{family}Model", part, **{NAMES[dtype]: figure})
    pooled = difference(vectors, expected.pooler_output)
    check(LAYOUT, name, f"transformers.{family}Model", "vectors", **{NAMES[dtype]: pooled})
    if dtype == torch.float64:
        assert not unmoved(model, lambda: model(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_stages(tmp_path, name):
    family, settings = FAMILIES[name]
    reference = saved(tmp_path, family, **settings)
    trunk = chiasm.load(str(tmp_path)).double().encoder.trunk
    images = trunk.normalize(pixels(44, 60))
    expected = reference.embeddings(images)
    with torch.no_grad():
        found = trunk(images, layers=[0, 1, -1]).intermediates
        for features, stage in zip(found, reference.encoder.stages, strict=True):
            expected = stage(expected)
            figure = difference(features.patch_map(), expected)
            check(LAYOUT, name, f"transformers.{family}Model", "stages", float64=figure)


@pytest.mark.parametrize("name", FAMILIES)
def test_classes(tmp_path, name):
    family, settings = FAMILIES[name]
    labels = {0: "cat", 1: "dog", 2: "owl"}
    named = {"id2label": labels, "label2id": {label: key for key, label in labels.items()}}
    reference = saved(tmp_path, family, "ForImageClassification", **settings, **named)
    model = chiasm.load(str(tmp_path)).double()
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    images = pixels(32, 32)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
    part = f"transformers.{family}ForImageClassification"
    check(LAYOUT, name, part, "logits", float64=difference(found, expected))
    assert not unmoved(model, lambda: model(images))


def test_dinov3_is_compared_on_request(tmp_path):
    saved(tmp_path / "model", DINOV3[1])
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels(40, 40)[0].permute(1, 2, 0).numpy()).save(tmp_path / "photos" / "noise.png")
    source = open_source(str(tmp_path / "photos"))
    name, parts = compare_with_reference(str(tmp_path / "model"), source, 1)
    assert name == "DINOv3ConvNextModel"
    assert [(part.part, part.agrees) for part in parts] == [("tokens", True)]


def test_other_settings(tmp_path):
    changes = {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3, "layer_scale_init_value": 0.0, "patch_size": 2}
    reference = saved(tmp_path, "ConvNext", num_stages=3, **changes)
    model = chiasm.load(str(tmp_path)).double()
    images = pixels(32, 48)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).pooler_output
        found = model(images)
    check(LAYOUT, "ConvNeXt", "transformers.ConvNextModel", "vectors", float64=difference(found, expected))


def test_other_activations_of_the_second_version_are_refused(tmp_path):
    saved(tmp_path, "ConvNextV2", num_stages=3, hidden_act="gelu_new")
    with pytest.raises(InputError, match="hidden_act gelu in its settings, but it is gelu_new"):
        chiasm.load(str(tmp_path))
