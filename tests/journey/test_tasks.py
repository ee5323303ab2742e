"""Questions to folders through the shell: classes by name, words, look-alikes, copies, odd ones; what goes wrong."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from references import redrawn
from safetensors.torch import save_file
from tiny_clip import save_tiny_clip

from chiasm.core.seeds import stream
from chiasm.core.tensors import read_tensors
from chiasm.data.prompts import SETS

transformers = pytest.importorskip("transformers")
NAMES = ("red", "green", "polar bear")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = save_tiny_clip(tmp_path_factory.mktemp("hub") / "clip")
    # The scale that trained models end with; it draws the answers of random weights apart.
    tensors = read_tensors(folder / "model.safetensors")
    tensors["logit_scale"] = torch.tensor(math.log(100))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    """A model with classes of its own, and no words."""
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
        id2label={0: "crimson, red", 1: "green", 2: "blue"},
        label2id={"crimson, red": 0, "green": 1, "blue": 2},
    )
    folder = tmp_path_factory.mktemp("hub") / "vit"
    redrawn(transformers.ViTForImageClassification(config)).float().save_pretrained(folder)
    return folder


@pytest.fixture
def squares(tmp_path) -> Path:
    """Sixteen pictures of the size that the models take, none like another."""
    (tmp_path / "squares").mkdir()
    for number in range(16):
        patches = stream(0, "squares", number).integers(0, 256, (4, 4, 3)).astype(np.uint8)
        Image.fromarray(patches).resize((32, 32), Image.Resampling.BICUBIC).save(
            tmp_path / "squares" / f"{number:02}.png"
        )
    return tmp_path / "squares"


def answer(result: tuple[int, str, str]) -> dict:
    """What a command answered as JSON."""
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def told(result: tuple[int, str, str]) -> str:
    """The one line that says what is wrong."""
    code, out, err = result
    assert code == 2, err
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("chiasm: expected ")
    assert out == ""
    return line


def by_transformers(folder: Path, pictures: list[Path], sentences: list[list[str]]) -> np.ndarray:
    """Probabilities of classes, each described by several sentences, from the reference alone."""
    model = transformers.CLIPModel.from_pretrained(folder).double().eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    pixels = processor([Image.open(path).convert("RGB") for path in pictures], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        images = model.get_image_features(pixel_values=pixels.double()).pooler_output
        classes = []
        for several in sentences:
            tokens = tokenizer(several, padding=True, truncation=True, max_length=24, return_tensors="pt")
            vectors = model.get_text_features(**tokens).pooler_output
            mean = (vectors / vectors.norm(dim=1, keepdim=True)).mean(dim=0)
            classes.append(mean / mean.norm())
        images = images / images.norm(dim=1, keepdim=True)
        return (model.logit_scale.exp() * images @ torch.stack(classes).T).softmax(dim=1).numpy()


@pytest.mark.parametrize("templates", ["plain", "simple"])
def test_zero_shot_gives_the_probabilities_of_the_reference(shell, clip, squares, tmp_path, templates, monkeypatch):
    # In float32 wherever the test runs.
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    labels = tmp_path / "names.txt"
    labels.write_text("\n".join(["red", "green", "polar_bear"]))
    words = ("classify", clip, "--data", squares, "--labels", labels, "--templates", templates, "--top", 3, "--json")
    found = answer(shell(*words))
    assert (found["classes_from"], found["independent"], found["num_templates"]) == (
        "labels",
        False,
        len(SETS[templates]),
    )
    sentences = [[template.replace("{}", name) for template in SETS[templates]] for name in NAMES]
    expected = by_transformers(clip, sorted(squares.iterdir()), sentences)
    shown = [[one["ranking"][name] for name in ("red", "green", "polar_bear")] for one in found["predictions"]]
    np.testing.assert_allclose(np.log(shown), np.log(expected), atol=1e-3)
    # The pictures are not answered alike, nor are the classes.
    assert np.ptp(np.log(expected), axis=0).max() > 0.1
    assert np.ptp(np.log(expected), axis=1).min() > 0.1


def test_words_and_names_in_the_shell(shell, clip, squares, tmp_path):
    answer(shell("index", clip, "--data", squares, "--out", tmp_path / "idx", "--json"))
    found = answer(shell("search", clip, "--index", tmp_path / "idx", "--text", "a photo of a red", "--json"))
    assert (found["query"], found["text"], len(found["hits"])) == (None, "a photo of a red", 10)
    scores = [hit["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    code, out, _ = shell("classify", clip, "--data", squares, "--labels", "red,green", "--templates", "a {} thing")
    assert code == 0
    assert "num templates" in out
    # Without classes in the data there is no truth, and no column for it.
    assert "truth" not in out
    assert "runner up" in out


def test_a_model_with_classes_of_its_own(shell, classifier, pictures):
    found = answer(shell("classify", classifier, "--data", pictures, "--json"))
    assert (found["classes_from"], found["num_scored"]) == ("model", 36)
    assert {one["truth"] for one in found["predictions"]} == {"crimson, red", "green", "blue"}


def test_an_index_follows_files_that_move(shell, model, pictures, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "mine")
    words = ("index", model, "--data", folder, "--out", tmp_path / "idx", "--json")
    answer(shell(*words))
    (folder / "red" / "03.png").rename(folder / "blue" / "was-red.png")
    shutil.copy(folder / "green" / "01.png", folder / "green" / "copy.png")
    (folder / "green" / "02.png").unlink()
    found = answer(shell(*words))
    counts = {name: found[f"num_{name}"] for name in ("moved", "added", "removed", "unchanged", "embedded")}
    assert counts == {"moved": 1, "added": 1, "removed": 1, "unchanged": 34, "embedded": 0}
    query = folder / "green" / "copy.png"
    (hit,) = answer(shell("search", model, "--index", tmp_path / "idx", "--query", query, "--limit", 1, "--json"))[
        "hits"
    ]
    assert (hit["key"], hit["copies"]) == ("green/01.png", ["green/copy.png"])


@pytest.mark.parametrize("trained", [True, False])
def test_copies_are_found(shell, model, squares, trained):
    shutil.copy(squares / "03.png", squares / "same.png")
    with Image.open(squares / "05.png") as image:
        image.resize((64, 64), Image.Resampling.BICUBIC).save(squares / "larger.png")
    named = model if trained else "raw-pixels"
    found = answer(shell("duplicates", named, "--data", squares, "--json"))
    groups: dict[int, set[str]] = {}
    for one in found["duplicates"]:
        groups.setdefault(one["group"], set()).add(one["key"])
    # A model that was trained for a moment may find more alike, but never less.
    for pair in ({"03.png", "same.png"}, {"05.png", "larger.png"}):
        assert any(pair <= group for group in groups.values())
    assert trained or sorted(map(len, groups.values())) == [2, 2]
    assert found["num_identical"] == 1
    code, out, _ = shell("duplicates", named, "--data", squares)
    assert code == 0
    assert "copy of" in out


def test_odd_pictures_and_neighbours(shell, pictures, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "mine")
    shutil.copy(folder / "red" / "00.png", folder / "blue" / "mistake.png")
    found = answer(shell("outliers", "raw-pixels", "--data", folder, "--neighbours", 5, "--json"))
    assert (found["suspects"][0]["key"], found["suspects"][0]["looks_like"]) == ("blue/mistake.png", "red")
    code, out, _ = shell("outliers", "raw-pixels", "--data", folder)
    assert code == 0
    assert "looks like" in out
    pairs = tmp_path / "pairs.csv"
    assert shell("similar", "raw-pixels", "--data", folder, "--limit", 2, "--out", pairs)[0] == 0
    with pairs.open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 37
    query = folder / "red" / "00.png"
    near = answer(shell("similar", "raw-pixels", "--data", folder, "--query", query, "--limit", 1, "--json"))
    assert near["neighbours"][0]["neighbour"] == "blue/mistake.png"


def test_what_classify_refuses(shell, clip, classifier, model, pictures, tmp_path):
    data = ("--data", pictures)
    assert "labels or examples" in told(shell("classify", clip, *data, "--labels", "a,b", "--examples", pictures))
    assert "reads text" in told(shell("classify", classifier, *data, "--labels", "a,b"))
    assert "examples (pictures with classes)." in told(shell("classify", model, *data))
    assert "has blue,green,red" in told(shell("classify", clip, *data))
    assert "labels for the templates" in told(shell("classify", classifier, *data, "--templates", "simple"))
    assert "'imagenet'" in told(shell("classify", clip, *data, "--labels", "a,b", "--templates", "imagenot"))
    assert "no such file" in told(shell("classify", clip, *data, "--labels", tmp_path / "names.txt"))
    assert "'a' comes 2 times" in told(shell("classify", clip, *data, "--labels", "a,b,a"))
    assert "one is empty" in told(shell("classify", clip, *data, "--labels", "a,"))
    assert "an empty text" in told(shell("classify", clip, *data, "--labels", ""))
    assert "shots came alone" in told(shell("classify", clip, *data, "--labels", "a,b", "--shots", 3))
    assert "whole number" in told(shell("classify", clip, *data, "--labels", "a,b", "--top", "many"))
    assert ".csv or .parquet" in told(shell("classify", clip, *data, "--labels", "a,b", "--out", tmp_path / "x.xls"))


def test_what_the_others_refuse(shell, clip, model, pictures, tmp_path):
    data, query = ("--data", pictures), pictures / "red" / "00.png"
    answer(shell("index", model, *data, "--out", tmp_path / "idx", "--json"))
    search = ("search", model, "--index", tmp_path / "idx")
    assert "neither came" in told(shell(*search))
    assert "both came" in told(shell(*search, "--query", query, "--text", "red"))
    assert "sees pictures only" in told(shell(*search, "--text", "red"))
    assert "made with" in told(shell("search", clip, "--index", tmp_path / "idx", "--text", "red"))
    assert "from -1 to 1" in told(shell("duplicates", model, *data, "--threshold", 96))
    assert "a number" in told(shell("duplicates", model, *data, "--threshold", "high"))
    assert "at least one neighbour" in told(shell("outliers", model, *data, "--neighbours", 0))
    assert "limit of at least 1" in told(shell("similar", model, *data, "--limit", 0))
    assert "did you mean" in told(shell("similar", model, *data, "--query", pictures / "red" / "0o.png"))
    assert "it is a folder" in told(shell("similar", model, *data, "--out", make(tmp_path / "taken.csv")))
    lonely = make(tmp_path / "lonely")
    shutil.copy(query, lonely / "one.png")
    for task in ("similar", "duplicates", "outliers"):
        assert "at least two pictures" in told(shell(task, "raw-pixels", "--data", lonely))


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
