"""ConvNeXt and ConvNeXt V2 of timm, in folders and single files, against `chiasm.load`; timm's answers are fixtures."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from safetensors.torch import load_file, save_file
from timm_fixtures import FIXTURES, answers, normalised

import chiasm
from chiasm.core.errors import InputError
from chiasm.models.classifier import Classifier

transformers = pytest.importorskip("transformers")
LAYOUT = "timm_convnext"
FAMILIES = {
    "convnext": "ConvNeXt",
    "convnext_atto": "ConvNeXt",
    "convnext_norm_first": "ConvNeXt",
    "convnext_xxlarge": "ConvNeXt",
    "convnextv2": "ConvNeXt V2",
    "convnextv2_atto": "ConvNeXt V2",
}
NAMES = {torch.float64: "float64", torch.float32: "float32"}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tokens_vectors_and_logits(name, place, dtype):
    model = chiasm.load(str(FIXTURES / name)).to(dtype)
    expected = answers(name)
    with torch.no_grad():
        features = model.encoder.trunk(normalised(model, expected[f"pictures_{place}"], dtype))
        vectors = model.encoder.pool(features)
        found = {"tokens": features.patch_map(), "vectors": vectors}
        if isinstance(model, Classifier):
            found["logits"] = model.head(vectors)
    for part, value in found.items():
        said = part + (" at another size" if place else "")
        figure = {NAMES[dtype]: difference(value, expected[f"{part}_{place}"])}
        check(LAYOUT, FAMILIES[name], f"timm.{name} (fixture)", said, **figure)


@pytest.mark.parametrize("name", ["convnext_norm_first", "convnextv2"])
def test_every_weight_matters(name):
    model = chiasm.load(str(FIXTURES / name)).double()
    images = answers(name)["pictures_0"]
    assert not unmoved(model, lambda: model(images))


def test_classes_and_a_single_file(tmp_path):
    whole = chiasm.load(str(FIXTURES / "convnext"))
    assert isinstance(whole, Classifier)
    assert whole.head.classes == ("cat", "dog", "owl")
    file = shutil.copy(FIXTURES / "convnext" / "model.safetensors", tmp_path / "convnext.safetensors")
    model = chiasm.load(str(file))
    assert model.encoder.trunk.image_size == 224
    images = answers("convnext")["pictures_0"]
    with torch.no_grad():
        torch.testing.assert_close(model(images), whole(images), rtol=0, atol=0)


def authors(name: str) -> str:
    """The name that a weight of transformers has in the authors' files."""
    moves = {
        "embeddings.patch_embeddings.": "downsample_layers.0.0.",
        "embeddings.layernorm.": "downsample_layers.0.1.",
        ".layer_scale_parameter": ".gamma",
        ".grn.weight": ".grn.gamma",
        ".grn.bias": ".grn.beta",
        "classifier.": "head.",
    }
    name = name.removeprefix("convnextv2.").removeprefix("convnext.").removeprefix("encoder.")
    for there, here in moves.items():
        name = name.replace(there, here)
    stage = name.split(".")[1]
    name = name.replace(f"stages.{stage}.downsampling_layer.", f"downsample_layers.{stage}.")
    return name.replace(".layers.", ".").replace("layernorm.", "norm.")


@pytest.mark.parametrize("family", ["ConvNext", "ConvNextV2"])
def test_names_of_the_authors(tmp_path, family):
    shape = {"hidden_sizes": [8, 16, 24], "depths": [1, 2, 1], "num_stages": 3, "layer_norm_eps": 1e-6, "num_labels": 3}
    config = getattr(transformers, f"{family}Config")(**shape)
    reference = redrawn(getattr(transformers, f"{family}ForImageClassification")(config))
    tensors = {authors(name): tensor for name, tensor in reference.state_dict().items()}
    assert {"downsample_layers.0.0.weight", "stages.1.1.dwconv.weight", "norm.bias", "head.weight"} <= tensors.keys()
    save_file(tensors, tmp_path / "convnext.safetensors")
    model = chiasm.load(str(tmp_path / "convnext.safetensors")).double()
    images = pixels(44, 60)
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images)).logits
        found = model(images)
    named = f"transformers.{family}ForImageClassification, renamed"
    family = "ConvNeXt V2" if family.endswith("V2") else "ConvNeXt"
    check(LAYOUT, family, named, "logits at another size", float64=difference(found, expected))


def test_what_is_not_ours_is_refused(tmp_path):
    folder = shutil.copytree(FIXTURES / "convnext", tmp_path / "convnext")
    settings = json.loads((folder / "config.json").read_text())
    for change, message in [({"act_layer": "silu"}, "its activation is silu"), ({"global_pool": "max"}, "is max")]:
        changed = settings | {"model_args": settings["model_args"] | change}
        (folder / "config.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=message):
            chiasm.load(str(folder))
    (folder / "config.json").write_text(json.dumps(settings | {"architecture": "test_convnext"}))
    with pytest.raises(InputError, match="one of the layouts"):
        chiasm.load(str(folder))
    (folder / "config.json").write_text(json.dumps(settings))
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"head.pre_logits.fc.weight": torch.zeros(16, 16)}, file)
    with pytest.raises(InputError, match="its head has two layers"):
        chiasm.load(str(folder))
    save_file(tensors | {"stem.1.weight": torch.zeros(4, 4, 3, 3)}, file)
    with pytest.raises(InputError, match="stem is of several convolutions"):
        chiasm.load(str(folder))
