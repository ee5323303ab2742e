"""Why a model says so, through the shell: names, examples, own classes, nothing; and what goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from references import redrawn
from tiny_clip import save_tiny_clip

from chiasm.core.seeds import stream

transformers = pytest.importorskip("transformers")
LABELS = {0: "red thing", 1: "green thing", 2: "blue thing"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("hub") / "clip")


@pytest.fixture(scope="module")
def swin(tmp_path_factory) -> Path:
    """Windows instead of attention among all patches, and classes of its own."""
    config = transformers.SwinConfig(
        image_size=32,
        patch_size=2,
        embed_dim=16,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=4,
        id2label=LABELS,
        label2id={name: key for key, name in LABELS.items()},
    )
    folder = tmp_path_factory.mktemp("hub") / "swin"
    redrawn(transformers.SwinForImageClassification(config), deviation=0.1).float().save_pretrained(folder)
    return folder


@pytest.fixture
def photo(tmp_path) -> Path:
    noise = stream(0, "photo").integers(0, 256, (30, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((640, 240)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def answer(result: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def told(result: tuple[int, str, str]) -> str:
    """The one line that says what is wrong."""
    code, out, err = result
    assert (code, out) == (2, ""), err
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("chiasm: expected ")
    return line


def read(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def test_names(shell, clip, photo, tmp_path):
    words = ("explain", clip, "--data", photo, "--labels", "red,green,polar bear", "--json")
    found = answer(shell(*words, "--out", tmp_path / "best.png"))
    (best,) = found["explanations"]
    assert (found["method"], found["classes_from"], best["key"]) == ("relevance", "labels", "photo.jpg")
    names = ["red", "green", "polar bear"]
    assert best["label"] in names
    assert 1 / 3 < best["probability"] <= 1
    assert -1 <= best["cosine"] <= 1
    drawn = read(best["out"])
    assert drawn.shape[1] == 640
    # A model of random weights looks somewhere; beside the square in the middle it sees nothing.
    colour = np.abs(drawn - drawn.mean(axis=2, keepdims=True)).sum(axis=2)
    assert colour[:240, 205:435].max() > 60
    assert colour[:240, :195].max() < 6
    assert colour[:240, 445:].max() < 6
    other = next(name for name in names if name != best["label"])
    answer(shell(*words, "--label", other, "--out", tmp_path / "other.png"))
    assert (read(tmp_path / "other.png")[:240] != drawn[:240]).any()


def test_a_name_alone_and_no_name(shell, clip, photo, tmp_path):
    found = answer(shell("explain", clip, "--data", photo, "--label", "red", "--out", tmp_path / "a.png", "--json"))
    assert found["explanations"][0]["probability"] is None
    found = answer(shell("explain", clip, "--data", photo, "--out", tmp_path / "b.png", "--json"))
    assert (found["method"], found["classes_from"], found["explanations"][0]["label"]) == ("rollout", None, None)
    code, out, _ = shell("explain", clip, "--data", photo, "--out", tmp_path / "c.png")
    assert code == 0
    assert "rollout" in out


def test_examples_and_a_folder(shell, model, pictures, tmp_path):
    words = ("explain", model, "--data", pictures, "--examples", pictures, "--shots", 3, "--out", tmp_path / "maps")
    found = answer(shell(*words, "--json"))
    assert (found["method"], found["classes_from"]) == ("relevance", "examples")
    assert len(found["explanations"]) == len(list((tmp_path / "maps").rglob("*.png"))) == 36
    right = [one["label"] == one["key"].split("/")[0] for one in found["explanations"]]
    assert np.mean(right) > 0.8
    assert "not empty" in told(shell(*words))


def test_own_classes_without_attention_among_all_patches(shell, swin, photo, tmp_path):
    words = ("explain", swin, "--data", photo)
    found = answer(shell(*words, "--out", tmp_path / "a.png", "--label", "Blue thing", "--json"))
    assert (found["method"], found["classes_from"]) == ("grad-cam", "model")
    assert found["explanations"][0]["label"] == "blue thing"
    line = told(shell(*words, "--out", tmp_path / "b.png", "--method", "relevance"))
    assert "choose grad-cam" in line
    assert "choose grad-cam" in told(shell(*words, "--out", tmp_path / "b.png", "--method", "rollout"))
    assert "did you mean 'blue thing'" in told(shell(*words, "--out", tmp_path / "b.png", "--label", "blu thing"))
    assert not (tmp_path / "b.png").exists()


def test_patches_of_several_pictures(shell, model, pictures, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for place, path in enumerate(sorted(pictures.rglob("*.png"))[::9]):
        shutil.copy(path, few / f"{place}.png")
    words = ("explain", model, "--data", few, "--json")
    found = answer(shell(*words, "--by", "pca", "--size", 64, "--out", tmp_path / "components"))
    assert (found["method"], found["classes_from"]) == ("pca", None)
    assert [Path(one["out"]).parent.name for one in found["explanations"]] == ["components"] * 4
    whole = read(tmp_path / "components" / "0.png")
    answer(shell(*words, "--by", "pca", "--size", 64, "--foreground", "--out", tmp_path / "part"))
    black = [(read(tmp_path / "part" / f"{place}.png")[:300] == 0).all(axis=2).mean() for place in range(4)]
    assert max(black) > 0.05
    assert (whole[:300] == 0).all(axis=2).mean() < 0.05
    answer(shell(*words, "--by", "heads", "--out", tmp_path / "heads"))
    assert len(list((tmp_path / "heads").glob("*.png"))) == 4
    found = answer(shell(*words, "--by", "similarity", "--out", tmp_path / "patches.html"))
    assert {one["out"] for one in found["explanations"]} == {str(tmp_path / "patches.html")}
    assert (tmp_path / "patches.html").read_text().count("data-vectors=") == 4


def test_patches_of_a_trunk_without_heads_for_all(shell, swin, photo, tmp_path):
    words = ("explain", swin, "--data", photo)
    answer(shell(*words, "--by", "pca", "--size", 64, "--out", tmp_path / "a.png", "--json"))
    assert read(tmp_path / "a.png").shape[1] == 2 * 360 + 4
    assert "choose pca or similarity" in told(shell(*words, "--by", "heads", "--out", tmp_path / "b.png"))
    assert "leave one of them out" in told(
        shell(*words, "--by", "pca", "--method", "grad-cam", "--out", tmp_path / "b.png")
    )
    assert "one of pca, heads, similarity" in told(shell(*words, "--by", "pce", "--out", tmp_path / "b.png"))
    assert "add by" in told(shell(*words, "--size", 64, "--out", tmp_path / "b.png"))
    assert not (tmp_path / "b.png").exists()


def test_what_cannot_be(shell, clip, model, pictures, photo, tmp_path):
    out = ("--out", tmp_path / "a.png")
    assert "a model to explain" in told(shell("explain", "raw-pixels", "--data", photo, *out))
    assert "reads text" in told(shell("explain", model, "--data", photo, "--label", "red", *out))
    assert "leave out its ending" in told(shell("explain", clip, "--data", pictures, "--label", "red", *out))
    assert "choose relevance or rollout" in told(
        shell("explain", clip, "--data", photo, "--label", "red", "--method", "grad-cam", *out)
    )
    assert "one of relevance, rollout, grad-cam" in told(
        shell("explain", clip, "--data", photo, "--method", "relevanse", *out)
    )
    assert "tells classes apart" in told(
        shell("explain", clip, "--data", photo, "--label", "red", "--method", "rollout", *out)
    )
    assert "a class to explain by relevance" in told(
        shell("explain", clip, "--data", photo, "--method", "relevance", *out)
    )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    assert "broken" in told(shell("explain", clip, "--data", tmp_path / "broken.png", *out))
    assert not (tmp_path / "a.png").exists()
