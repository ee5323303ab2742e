"""What is fetched from a hub, with the library that fetches replaced."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors
from safetensors.torch import save_file

from chiasm.core.errors import InputError
from chiasm.weights.hub import cached, fetch, is_hub_name, wanted

SHA = "0123456789abcdef0123456789abcdef01234567"
BESIDE = ["README.md", "config.json", "merges.txt", "preprocessor_config.json", "tokenizer.json", "vocab.json"]
OTHERS = [
    ".gitattributes",
    "flax_model.msgpack",
    "modeling_evil.py",
    "tf_model.h5",
    "onnx/model.onnx",
    "onnx/config.json",
    "vision/model.safetensors",
    "model.fp16.safetensors",
]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["model.safetensors", "open_clip_model.safetensors"], ["model.safetensors"]),
        (["open_clip_model.safetensors", "pytorch_model.bin"], ["open_clip_model.safetensors"]),
        (
            ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
            ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
    ],
)
def test_one_set_of_weights_is_wanted(weights, expected):
    assert set(wanted([*BESIDE, *OTHERS, *weights])) == {*BESIDE, *expected}


def test_weights_of_another_name_are_wanted_if_they_are_alone():
    assert wanted(["config.json", "mine.safetensors"]) == ("config.json", "mine.safetensors")
    assert wanted(["config.json", "mine.safetensors", "yours.safetensors"]) == ()


def test_pickled_weights_are_wanted_on_request_only():
    names = ["config.json", "pytorch_model.bin", "training_args.bin"]
    assert wanted(names) == ()
    assert wanted(names, pickled=True) == ("config.json", "pytorch_model.bin")
    assert wanted(["config.json", "model.safetensors"], pickled=True) == ()


@pytest.mark.parametrize("name", ["org/model", "hf:org/model", "o/m-1.5_x@main", "org/model@refs/pr/3"])
def test_names_on_the_hub(name):
    assert is_hub_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "model", "a/b/c", "./a/b", "/a/b", "~/a", "a//b", "a/", "/a", "a b/c", "org/na--me", "org/x.git", "-o/m",
        "o/m-", "o/..", "o/m@../../x", "o/m@", "x" * 50 + "/" + "y" * 50, "örg/model",
    ],
)  # fmt: skip
def test_names_that_no_hub_has(name):
    assert not is_hub_name(name)


class Hub:
    """A hub with one repository; it notes what was asked of it."""

    def __init__(self, files: list[str], cache: Path) -> None:
        self.files = files
        self.cache = cache
        self.asked: list[str] = []
        self.downloads = 0
        self.error: Exception | None = None

    def model_info(self, repository: str, revision: str | None = None) -> Any:
        self.asked.append(f"{repository}@{revision}")
        if self.error is not None:
            raise self.error
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in self.files])

    def snapshot_download(self, repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        self.downloads += 1
        root = self.cache / f"models--{repository.replace('/', '--')}"
        folder = root / "snapshots" / SHA
        for name in self.files:
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                _write(folder / name)
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / (revision or "main")).write_text(SHA)
        return str(folder)


def _write(file: Path) -> None:
    if file.name.endswith("index.json"):
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        file.write_text(json.dumps({"weight_map": shards}))
    elif file.suffix == ".safetensors":
        save_file({"a": torch.ones(1)}, file)
    else:
        file.write_text("{}")


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    made = Hub([*BESIDE, *OTHERS, "model.safetensors", "pytorch_model.bin"], tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_a_model_is_fetched_once(hub):
    assert cached("org/model") is None
    folder = fetch("org/model")
    assert {file.name for file in folder.iterdir()} == {*BESIDE, "model.safetensors"}
    assert fetch("org/model") == cached("org/model") == folder
    assert fetch("hf:org/model") == folder
    assert hub.downloads == 1
    fetch("org/model@v1")
    assert hub.asked == ["org/model@None", "org/model@v1"]


def test_what_is_not_whole_is_fetched_again(hub):
    folder = fetch("org/model")
    (folder / "model.safetensors").unlink()
    assert cached("org/model") is None
    assert (fetch("org/model") / "model.safetensors").is_file()
    hub.files = [*BESIDE, *(f"model-0000{number}-of-00002.safetensors" for number in (1, 2))]
    hub.files.append("model.safetensors.index.json")
    (folder / "model.safetensors").unlink()
    fetch("org/model")
    assert cached("org/model") == folder
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert cached("org/model") is None


def test_pickled_weights_are_fetched_on_request_only(hub):
    hub.files.remove("model.safetensors")
    hub.files.remove("model.fp16.safetensors")
    with pytest.raises(InputError, match=r"pytorch_model\.bin of org/model may be pickled.*pickle:org/model"):
        fetch("org/model")
    assert hub.downloads == 0
    folder = fetch("org/model", pickled=True)
    assert (folder / "pytorch_model.bin").is_file()
    assert cached("org/model") is None
    assert cached("org/model", pickled=True) == folder


def test_a_repository_without_weights(hub):
    hub.files = ["README.md"]
    with pytest.raises(InputError, match="choose another model"):
        fetch("org/model")
    hub.files = ["config.json", "model.safetensors"]
    with pytest.raises(InputError, match="name org/model itself"):
        fetch("org/model", pickled=True)


def test_no_network_is_asked_where_that_is_switched_off(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"it is not there and HF_HUB_OFFLINE=1.*\./models/"):
        fetch("org/model")
    assert hub.asked == []


def answer(status: int) -> Any:
    """As much of an answer over the network as the library's errors look at."""
    return SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (lambda: errors.RepositoryNotFoundError("no", response=answer(404)), "org/model is neither"),
        (lambda: errors.GatedRepoError("no", response=answer(403)), "accept it on https://huggingface.co/org/model"),
        (lambda: errors.RevisionNotFoundError("no", response=answer(404)), "'v9' is none"),
        (lambda: ConnectionError("name resolution failed. Try\nagain"), "cannot be reached (name resolution failed)"),
        (lambda: Exception("an error of its own"), "cannot be reached (an error of its own)"),
        (lambda: errors.HfHubHTTPError("500 Server Error", response=answer(500)), "500 Server Error"),
    ],
)
def test_failures_are_told_in_one_line(hub, error, complaint):
    hub.error = error()
    with pytest.raises(InputError) as caught:
        fetch("org/model@v9")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
