"""Swin and Swin v2 of timm, in folders and single files, against `chiasm.load`; timm's answers are fixtures."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from references import check, difference, unmoved
from safetensors.torch import load_file, save_file
from timm_fixtures import FIXTURES, answers, normalised

import chiasm
from chiasm.core.errors import InputError
from chiasm.models.classifier import Classifier
from chiasm.weights.find import find

LAYOUT = "timm_swin"
FAMILIES = {"swin": "Swin", "swin_s3": "Swin", "swinv2": "Swin v2", "swinv2_grown": "Swin v2"}
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
        found = {"tokens": features.patch_map().permute(0, 2, 3, 1), "vectors": vectors}
        if isinstance(model, Classifier):
            found["logits"] = model.head(vectors)
    for part, value in found.items():
        said = part + (" at another size" if place else "")
        figure = {NAMES[dtype]: difference(value, expected[f"{part}_{place}"])}
        check(LAYOUT, FAMILIES[name], f"timm.{name} (fixture)", said, **figure)


@pytest.mark.parametrize("name", ["swin", "swinv2"])
def test_every_weight_matters(name):
    model = chiasm.load(str(FIXTURES / name)).double()
    images = answers(name)["pictures_0"]
    assert not unmoved(model, lambda: model(images))


def test_classes_and_channels():
    model = chiasm.load(str(FIXTURES / "swin"))
    assert isinstance(model, Classifier)
    assert model.head.classes == ("cat", "dog", "owl")
    assert model.encoder.trunk.mean == (0.485, 0.456, 0.406)
    assert find(str(FIXTURES / "swin")).config["encoder"]["trunk"]["window_sizes"] == [4, 4, 4]
    assert find(str(FIXTURES / "swin_s3")).config["trunk"]["window_sizes"] == [4, 8, 4]


@pytest.mark.parametrize("name", ["swin", "swinv2"])
def test_names_of_the_authors(tmp_path, name):
    folder = shutil.copytree(FIXTURES / name, tmp_path / name)
    file = folder / "model.safetensors"
    older = {
        re.sub(r"^layers\.(\d+)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", key): tensor
        for key, tensor in load_file(file).items()
    }
    older = {key.replace("head.fc.", "head."): tensor for key, tensor in older.items()}
    formulas = {"attn_mask": torch.zeros(16, 16, 16), "attn.relative_position_index": torch.zeros(16, 16)}
    formulas |= {"attn.relative_coords_table": torch.zeros(1, 7, 7, 2)} if name == "swinv2" else {}
    save_file(older | {f"layers.0.blocks.1.{key}": value for key, value in formulas.items()}, file)
    images = answers(name)["pictures_0"]
    with torch.no_grad():
        torch.testing.assert_close(
            chiasm.load(str(folder))(images), chiasm.load(str(FIXTURES / name))(images), rtol=0, atol=0
        )


def test_a_single_file_of_the_first_version_tells_enough(tmp_path):
    file = shutil.copy(FIXTURES / "swin" / "model.safetensors", tmp_path / "swin.safetensors")
    model, whole = chiasm.load(str(file)), chiasm.load(str(FIXTURES / "swin"))
    assert model.encoder.trunk.image_size == 32
    images = answers("swin")["pictures_0"]
    with torch.no_grad():
        torch.testing.assert_close(model(images), whole(images), rtol=0, atol=0)


def test_a_single_file_of_the_second_version_does_not(tmp_path):
    file = shutil.copy(FIXTURES / "swinv2" / "model.safetensors", tmp_path / "swinv2.safetensors")
    with pytest.raises(InputError, match=r"tells windows \(window_size\) and pictures"):
        chiasm.load(str(file))


@pytest.mark.parametrize(
    ("architecture", "window", "trained"),
    [
        ("swinv2_tiny_window8_256.ms_in1k", [8], ()),
        ("swinv2_small_window16_256", [16], ()),
        ("swinv2_base_window12to16_192to256.ms_in22k_ft_in1k", [16], [12, 12, 12]),
        ("swinv2_large_window12to24_192to384", [24], [12, 12, 12]),
    ],
)
def test_names_tell_the_windows_of_the_second_version(tmp_path, architecture, window, trained):
    folder = shutil.copytree(FIXTURES / "swinv2", tmp_path / "swinv2")
    settings = json.loads((folder / "config.json").read_text())
    settings["architecture"] = architecture
    del settings["model_args"]
    (folder / "config.json").write_text(json.dumps(settings))
    trunk = find(str(folder)).config["encoder"]["trunk"]
    assert trunk["image_size"] == 256
    assert trunk["window_sizes"] == window
    assert trunk["attention"]["trained_window_sizes"] == trained


def test_what_is_not_ours_is_refused(tmp_path):
    folder = shutil.copytree(FIXTURES / "swinv2", tmp_path / "swinv2")
    settings = json.loads((folder / "config.json").read_text())
    settings["model_args"]["act_layer"] = "silu"
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="act_layer gelu among its model_args, but 'silu' came"):
        chiasm.load(str(folder))
    settings["architecture"] = "maxvit_tiny_tf_224"
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="one of the layouts"):
        chiasm.load(str(folder))
