"""Somebody else's model through the shell: shown, kept as our own, made smaller, with the same answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from references import pixels, redrawn
from tiny_clip import save_tiny_clip

import chiasm
from chiasm.core.tensors import read_tensors
from chiasm.layers.block import Block

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
        id2label={0: "red", 1: "green", 2: "blue"},
        label2id={"red": 0, "green": 1, "blue": 2},
    )
    folder = tmp_path_factory.mktemp("hub") / "vit"
    redrawn(transformers.ViTForImageClassification(config)).float().save_pretrained(folder)
    return folder


def test_show(shell, foreign):
    code, out, _ = shell("models", "show", foreign, "--json")
    shown = json.loads(out)
    assert code == 0
    assert (shown["layout"], shown["kind"]) == ("hf_vit", "classifier")
    assert shown["config"]["head"]["classes"] == ["red", "green", "blue"]
    tensors = read_tensors(foreign / "model.safetensors")
    assert shown["num_parameters"] == sum(value.numel() for value in tensors.values())


def test_keep_gives_a_folder_of_our_own_with_the_same_answers(shell, foreign, tmp_path):
    code, out, _ = shell("models", "keep", foreign, "--out", tmp_path / "kept", "--json")
    assert code == 0
    assert json.loads(out)["kind"] == "classifier"
    images = pixels(32, 32)
    before, after = chiasm.load(str(foreign)), chiasm.load(str(tmp_path / "kept"))
    assert torch.equal(before(images), after(images))
    _, out, _ = shell("models", "show", tmp_path / "kept", "--json")
    assert json.loads(out)["layout"] == "chiasm"
    code, _, err = shell("models", "keep", foreign, "--out", tmp_path / "kept")
    assert (code, "not empty" in err) == (2, True)


def test_half_works_on_it_and_is_read_as_float32(shell, foreign, pictures, tmp_path):
    words = ("compress", "half", foreign, "--data", pictures, "--out", tmp_path / "half", "--json")
    code, out, err = shell(*words)
    assert code == 0, err
    halved = json.loads(out)
    assert halved["bytes_after"] < 0.7 * halved["bytes_before"]
    assert halved["least_cosine"] > 0.99
    model = chiasm.load(str(tmp_path / "half"))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_it_embeds_pictures(shell, foreign, pictures, tmp_path):
    code, _, err = shell("embed", foreign, "--data", pictures, "--out", tmp_path / "v.npz")
    assert code == 0, err
    vectors = np.load(tmp_path / "v.npz")["vectors"]
    assert vectors.shape == (36, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_verify(shell, foreign, pictures, monkeypatch):
    code, out, err = shell("models", "verify", foreign, "--data", pictures, "--json")
    assert code == 0, err
    verified = json.loads(out)
    assert verified["reference"] == "ViTForImageClassification"
    assert [part["part"] for part in verified["parts"]] == ["logits"]
    assert verified["parts"][0]["deviation"] < 1e-6
    exact = Block.forward
    monkeypatch.setattr(Block, "forward", lambda *args: 1.001 * exact(*args))
    code, _, err = shell("models", "verify", foreign, "--data", pictures)
    line, table = err.splitlines()
    assert code == 2
    assert "differs in logits" in line
    assert table.startswith("logits: differs, by ")


def test_verify_needs_somebody_elses_model(shell, model, pictures):
    code, _, err = shell("models", "verify", model, "--data", pictures)
    assert (code, "is in the layout chiasm" in err) == (2, True)


def test_verify_compares_words_and_pixels_too(shell, pictures, tmp_path):
    code, out, err = shell("models", "verify", save_tiny_clip(tmp_path / "clip"), "--data", pictures, "--json")
    assert code == 0, err
    parts = {part["part"]: part["deviation"] for part in json.loads(out)["parts"]}
    assert set(parts) == {"image vectors", "tokens of texts", "text vectors", "pixels"}
    assert parts["tokens of texts"] == 0
    assert parts["pixels"] < 0.01


def test_what_is_made_from_a_model_carries_its_card(shell, foreign, tmp_path):
    (foreign / "README.md").write_text("# Mine\n\nlicensed for all\n", encoding="utf-8")
    try:
        assert shell("models", "keep", foreign, "--out", tmp_path / "kept")[0] == 0
    finally:
        (foreign / "README.md").unlink()
    card = (tmp_path / "kept" / "card.md").read_text(encoding="utf-8")
    assert card.index("made from:") < card.index("licensed for all")
