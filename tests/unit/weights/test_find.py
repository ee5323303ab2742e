"""Every way to name a model, and what is said of each way to get it wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import chiasm
from chiasm.core.errors import InputError
from chiasm.models import encoder
from chiasm.models._store import save_model
from chiasm.trunks import vit
from chiasm.weights.card import Card
from chiasm.weights.find import find

CONFIG = {
    "model_type": "vit",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "image_size": 8,
    "patch_size": 4,
}
LINEAR = {
    "encoder.layer.0.attention.attention.query": (8, 8),
    "encoder.layer.0.attention.attention.key": (8, 8),
    "encoder.layer.0.attention.attention.value": (8, 8),
    "encoder.layer.0.attention.output.dense": (8, 8),
    "encoder.layer.0.intermediate.dense": (12, 8),
    "encoder.layer.0.output.dense": (8, 12),
    "encoder.layer.0.layernorm_before": (8,),
    "encoder.layer.0.layernorm_after": (8,),
    "layernorm": (8,),
    "embeddings.patch_embeddings.projection": (8, 3, 4, 4),
}
IMAGES = torch.randint(0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
SHA = "0123456789abcdef0123456789abcdef01234567"


def weights() -> dict[str, Tensor]:
    """Of a small ViT, under the names that are on the hub."""
    generator = torch.Generator().manual_seed(0)
    shapes = {f"{name}.weight": shape for name, shape in LINEAR.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in LINEAR.items()}
    shapes |= {"embeddings.cls_token": (1, 1, 8), "embeddings.position_embeddings": (1, 5, 8)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def hub_folder(folder: Path, form: str = "safetensors") -> Path:
    """A folder as hubs keep them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    if form == "safetensors":
        save_file(weights(), folder / "model.safetensors")
    elif form == "pickled":
        torch.save(weights(), folder / "pytorch_model.bin")
    else:
        shard(folder, weights())
    return folder


def shard(folder: Path, tensors: dict[str, Tensor]) -> None:
    names = sorted(tensors)
    halves = (names[::2], names[1::2])
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for file, half in zip(files, halves, strict=True):
        save_file({name: tensors[name] for name in half}, folder / file)
    listed = {name: file for file, half in zip(files, halves, strict=True) for name in half}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))


@pytest.fixture
def expected(tmp_path) -> Tensor:
    return chiasm.load(str(hub_folder(tmp_path / "expected")))(IMAGES)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the hub without a network; the library has read its environment long before."""
    from huggingface_hub import constants

    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def cached_model(cache: Path, name: str = "org/model", revision: str = "main", form: str = "safetensors") -> Path:
    """A model in the cache as the hub's library lays it out: links to files that are named by their digest."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = hub_folder(repository / "snapshots" / SHA, form)
    (repository / "blobs").mkdir()
    for number, file in enumerate(sorted(snapshot.iterdir())):
        blob = repository / "blobs" / f"{number:064x}"
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, snapshot))
    ref = repository / "refs" / revision
    ref.parent.mkdir(parents=True)
    ref.write_text(SHA)
    return snapshot


def complaint(name: object) -> str:
    with pytest.raises(InputError) as caught:
        chiasm.load(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_artefact(tmp_path):
    trunk = vit.Config(image_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2)
    model = encoder.Config(trunk=trunk).build().eval()
    save_model(model, tmp_path, Card.now("A test", "nothing", "chiasm train x", 1.0, {}, {}))
    assert torch.equal(chiasm.load(str(tmp_path))(IMAGES), model(IMAGES))
    assert torch.equal(chiasm.load(str(tmp_path / "model.safetensors"))(IMAGES), model(IMAGES))
    assert find(str(tmp_path)).model == "encoder"


@pytest.mark.parametrize("form", ["safetensors", "shards"])
def test_a_folder_as_hubs_keep_them(tmp_path, form, expected):
    folder = hub_folder(tmp_path / "model", form)
    assert torch.equal(chiasm.load(str(folder))(IMAGES), expected)
    assert find(str(folder)).num_parameters() == sum(tensor.numel() for tensor in weights().values())


def test_a_file_in_such_a_folder(tmp_path, expected):
    folder = hub_folder(tmp_path / "model")
    assert torch.equal(chiasm.load(str(folder / "model.safetensors"))(IMAGES), expected)


def test_weights_of_another_name_in_such_a_folder(tmp_path, expected):
    folder = hub_folder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "finetuned.safetensors")
    assert torch.equal(chiasm.load(str(folder))(IMAGES), expected)
    shutil.copy(folder / "finetuned.safetensors", folder / "other.safetensors")
    assert "several others, such as finetuned.safetensors" in complaint(folder)


def test_a_path_below_home(tmp_path, monkeypatch, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    hub_folder(tmp_path / "model")
    assert torch.equal(chiasm.load("~/model")(IMAGES), expected)


def test_half_precision_is_widened(tmp_path, expected):
    folder = hub_folder(tmp_path / "model")
    rounded = {name: tensor.bfloat16() for name, tensor in weights().items()}
    save_file(rounded, folder / "model.safetensors")
    model = chiasm.load(str(folder))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    found = model(IMAGES)
    save_file({name: tensor.float() for name, tensor in rounded.items()}, folder / "model.safetensors")
    assert torch.equal(chiasm.load(str(folder))(IMAGES), found)
    assert not torch.equal(found, expected)


def test_the_fingerprint_is_that_of_the_weights(tmp_path, cache):
    first = find(str(hub_folder(tmp_path / "a"))).fingerprint
    assert find(str(hub_folder(tmp_path / "b"))).fingerprint == first
    save_file({name: tensor + 1 for name, tensor in weights().items()}, tmp_path / "b" / "model.safetensors")
    assert find(str(tmp_path / "b")).fingerprint != first
    # Blobs in the cache are named by the digest of what they hold, and are not read for it.
    snapshot = cached_model(cache)
    named = find("org/model").fingerprint
    target = (snapshot / "model.safetensors").resolve()
    renamed = target.with_name("f" * 64)
    target.rename(renamed)
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(renamed)
    assert find("org/model").fingerprint != named


def test_a_pickled_folder_is_read_on_request_only(tmp_path, expected):
    folder = hub_folder(tmp_path / "model", "pickled")
    told = complaint(folder)
    assert "pytorch_model.bin" in told
    assert f"pickle:{folder}" in told
    assert torch.equal(chiasm.load(f"pickle:{folder}")(IMAGES), expected)
    assert "did you mean" not in told


def test_a_pickled_file_is_read_on_request_only(tmp_path, expected):
    folder = hub_folder(tmp_path / "model", "pickled")
    assert "can carry code" in complaint(folder / "pytorch_model.bin")
    assert torch.equal(chiasm.load(f"pickle:{folder}/pytorch_model.bin")(IMAGES), expected)


def test_safetensors_are_no_pickles(tmp_path, expected):
    folder = hub_folder(tmp_path / "model")
    assert torch.equal(chiasm.load(f"pickle:{folder}/model.safetensors")(IMAGES), expected)
    assert f"try {folder} itself" in complaint(f"pickle:{folder}")


def test_a_near_miss_is_answered_with_the_neighbour(tmp_path, cache):
    folder = hub_folder(tmp_path / "vit-small")
    assert f"did you mean {folder}" in complaint(tmp_path / "vit-smal")
    assert "none of them" in complaint(tmp_path / "completely" / "else")


def test_a_near_miss_hides_no_cached_model(tmp_path, cache, monkeypatch, expected):
    monkeypatch.chdir(tmp_path)
    hub_folder(tmp_path / "org" / "modal")
    told = complaint("org/model")
    assert "did you mean org/modal" in told
    assert "hf:org/model" in told
    assert "HF_HUB_OFFLINE" in complaint("hf:org/model")
    cached_model(cache)
    assert torch.equal(chiasm.load("org/model")(IMAGES), expected)


@pytest.mark.parametrize("name", ["", " ", "org/na--me", "org/model.git", "org/../model", "a" * 300, "-org/model"])
def test_what_can_be_no_name(name, cache):
    assert complaint(name).startswith("expected ")


@pytest.mark.parametrize("file", ["config.json", "photo.jpg", "notes"])
def test_files_that_are_no_weights(tmp_path, file):
    (tmp_path / file).write_text("{}")
    assert "a file of weights" in complaint(tmp_path / file)


def test_an_empty_folder(tmp_path):
    assert "weights (model.safetensors)" in complaint(tmp_path)


def test_a_layout_that_nobody_knows(tmp_path):
    folder = hub_folder(tmp_path / "model")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert "is a bert, which is none of them" in complaint(folder)
    save_file({"weight": torch.ones(1)}, tmp_path / "x.safetensors")
    assert "1 tensors such as 'weight'" in complaint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "image_size", "patch_size", "layer_norm_eps"])
@pytest.mark.parametrize("value", [None, "x", -1, [], {}, [8, "x"]])
def test_settings_of_the_wrong_kind(tmp_path, key, value):
    folder = hub_folder(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps(CONFIG | {key: value}))
    assert complaint(folder).startswith("expected ")


def test_missing_and_strange_tensors_come_as_a_table(tmp_path):
    folder = hub_folder(tmp_path / "model")
    tensors = weights()
    del tensors["embeddings.position_embeddings"]
    del tensors["encoder.layer.0.attention.attention.key.bias"]
    tensors["layernorm.weight"] = torch.ones(9)
    tensors["strange"] = torch.ones(2, 3)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match="missing") as caught:
        chiasm.load(str(folder))
    rows = {tuple(line.split()[:2]) for line in caught.value.details.splitlines()[1:]}
    assert ("trunk.positions.table", "missing") in rows
    assert ("trunk.blocks.0.attention.query_key_value.bias", "missing") in rows
    assert ("trunk.blocks.0.attention.q.bias", "unexpected") in rows
    assert ("trunk.norm.weight", "of") in rows
    assert ("trunk.strange", "unexpected") in rows


def test_a_name_on_the_hub_from_the_cache_alone(cache, expected):
    cached_model(cache)
    assert torch.equal(chiasm.load("org/model")(IMAGES), expected)
    assert torch.equal(chiasm.load("hf:org/model")(IMAGES), expected)
    assert torch.equal(chiasm.load(f"org/model@{SHA}")(IMAGES), expected)
    assert find("org/model").name == "org/model"


def test_revisions_in_the_cache(cache, expected):
    cached_model(cache, revision="v1")
    assert torch.equal(chiasm.load("org/model@v1")(IMAGES), expected)
    assert "HF_HUB_OFFLINE" in complaint("org/model")
    assert "HF_HUB_OFFLINE" in complaint("org/model@v2")


@pytest.mark.parametrize("form", ["pickled", "shards"])
def test_other_forms_in_the_cache(cache, form, expected):
    cached_model(cache, form=form)
    name = "pickle:org/model" if form == "pickled" else "org/model"
    assert torch.equal(chiasm.load(name)(IMAGES), expected)


def test_a_name_that_is_not_cached(cache):
    told = complaint("org/model")
    assert str(cache) in told
    assert "it is not there and HF_HUB_OFFLINE=1" in told
    assert "./models/" in told


@pytest.mark.parametrize("lacking", ["config.json", "model-00002-of-00002.safetensors", "blob"])
def test_a_part_of_a_model_is_none(cache, lacking):
    snapshot = cached_model(cache, form="shards")
    if lacking == "blob":
        (snapshot / "model-00001-of-00002.safetensors").resolve().unlink()
    else:
        (snapshot / lacking).unlink()
    assert "only a part is there" in complaint("org/model")


def test_settings_alone_are_only_a_part(cache):
    (cached_model(cache) / "model.safetensors").unlink()
    assert "only a part is there" in complaint("org/model")


def test_the_tensors_are_those_of_the_file(tmp_path):
    folder = hub_folder(tmp_path / "model")
    stored = find(str(folder))
    table = load_file(folder / "model.safetensors")["embeddings.position_embeddings"]
    assert torch.equal(stored.tensors()["trunk.positions.table"], table[:, 1:])
