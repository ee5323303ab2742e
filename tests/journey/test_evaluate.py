"""Many models on many data sets through the shell: tables, files, reports, and what is kept for the next time."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from drawn import CLASSES, draw_pictures
from safetensors.torch import save_file
from tiny_clip import save_tiny_clip

from chiasm.core.tensors import read_tensors
from chiasm.serve.encoder import PictureEncoder

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = save_tiny_clip(tmp_path_factory.mktemp("hub") / "clip")
    tensors = read_tensors(folder / "model.safetensors")
    tensors["logit_scale"] = torch.tensor(math.log(100))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def other(tmp_path) -> Path:
    return draw_pictures(tmp_path / "other", 4)


@pytest.fixture
def captions(tmp_path, pictures) -> Path:
    rows = [(f"{pictures}/{name}/{number:02}.png", f"a {name} thing") for name in CLASSES for number in range(4)]
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "caption"), *rows])
    return tmp_path / "captions.csv"


def answer(result: tuple[int, str, str]) -> dict:
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


def test_two_models_on_two_data_sets(shell, model, clip, pictures, other, tmp_path):
    words = ("evaluate", "zeroshot", clip, model, "--data", pictures, other, "--templates", "simple")
    table, page = tmp_path / "t.csv", tmp_path / "r.html"
    found = answer(shell(*words, "--csv", table, "--html", page, "--bootstrap", 50, "--json"))
    assert [(one["model"], one["data"]) for one in found["results"]] == [
        (str(clip), str(pictures)),
        (str(clip), str(other)),
    ]
    assert {one["model"] for one in found["missing"]} == {str(model)}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["top-1"] == "" for row in rows] == [False, False, True, True]
    assert float(rows[0]["top-1"]) == found["results"][0]["scores"]["accuracy"]["value"]
    assert "sees pictures only" in rows[2]["why not"]
    assert "Confusion matrix" in page.read_text()
    code, out, _ = shell(*words)
    assert code == 0
    assert "top-1" in out
    assert "–" in out


@pytest.mark.parametrize("way", [("zeroshot",), ("retrieval",)])
def test_the_second_time_nothing_is_encoded_and_nothing_changes(
    shell, clip, pictures, captions, tmp_path, monkeypatch, way
):
    words = ("evaluate", *way, clip, "--data", captions if way == ("retrieval",) else pictures)
    words += ("--cache", tmp_path / "cache", "--json")
    cold = shell(*words)

    def refused(*_):
        raise RuntimeError("this was encoded before")

    with monkeypatch.context() as patch:
        patch.setattr(PictureEncoder, "_encode", refused)
        patch.setattr("chiasm.serve.text.ServedText._encode", refused)
        warm = shell(*words)
    assert answer(cold) == answer(warm)
    without = shell(*words[:-3], "--no-cache", "--json")
    ours, theirs = answer(warm)["results"][0], answer(without)["results"][0]
    assert (ours["model"], ours["fingerprint"]) == (theirs["model"], theirs["fingerprint"])


def test_without_a_cache_no_vector_is_left(shell, clip, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "own"))
    assert shell("evaluate", "knn", clip, "--data", pictures, "--no-cache")[0] == 0
    assert not list((tmp_path / "own").rglob("*.vectors"))
    assert shell("evaluate", "knn", clip, "--data", pictures)[0] == 0
    assert list((tmp_path / "own").rglob("*.vectors"))


def test_a_curve_of_shots(shell, model, pictures, tmp_path):
    words = ("evaluate", "few-shot", model, "raw-pixels", "--data", pictures, "--shots", 1, 3, "--draws", 3)
    found = answer(shell(*words, "--learner", "centroid", "--html", tmp_path / "r.html", "--json"))
    assert [(one["shots"], len(one["accuracies"])) for one in found["results"]] == [(1, 3), (3, 3)] * 2
    assert "pictures of each class" in (tmp_path / "r.html").read_text()


def test_vectors_for_other_tools_and_from_them(shell, model, clip, pictures, tmp_path):
    built = answer(shell("evaluate", "build", model, clip, "--data", pictures, "--out", tmp_path, "--json"))
    assert [one["num_train"] + one["num_validation"] for one in built["results"]] == [36, 36]
    found = answer(shell("evaluate", "stored", tmp_path, "--by", "knn", "zeroshot", "--json"))
    assert {(one["by"], one["data"]) for one in found["results"]} == {("knn", "pictures"), ("zeroshot", "pictures")}
    direct = answer(shell("evaluate", "knn", model, clip, "--data", pictures, "--json"))["results"]
    for figure in ("accuracy", "mean_average_precision", "calibration_error"):
        again = [plain(one["scores"][figure]) for one in found["results"] if one["by"] == "knn"]
        assert sorted(again) == pytest.approx(sorted(plain(one["scores"][figure]) for one in direct), rel=1e-5), figure


def plain(figure: float | dict[str, float]) -> float:
    """A figure without its interval."""
    return figure["value"] if isinstance(figure, dict) else figure


def test_which_is_better(shell, model, clip, pictures, tmp_path):
    words = ("evaluate", "compare", clip, model, "--data", pictures, "--by", "knn", "linear", "--bootstrap", 50)
    found = answer(shell(*words, "--html", tmp_path / "r.html", "--json"))
    for one in found["results"]:
        assert one["baseline"] == str(model)
        assert set(one["per_class"]) == set(CLASSES)
        assert one["better"] in (None, str(model), str(clip))
    assert "by knn" in (tmp_path / "r.html").read_text()


def test_what_goes_wrong_is_told(shell, model, clip, pictures, tmp_path):
    assert "ends in .html" in told(shell("evaluate", "knn", model, "--data", pictures, "--html", "r.pdf"))
    assert "a model that reads text" in told(shell("evaluate", "zeroshot", model, "--data", pictures))
    assert "with captions" in told(shell("evaluate", "retrieval", clip, "--data", pictures))
    assert "among the labels" in told(shell("evaluate", "zeroshot", clip, "--data", pictures, "--labels", "cat,dog"))
    assert "two draws" in told(shell("evaluate", "few-shot", model, "--data", pictures, "--draws", 1))
    assert "there is none" in told(shell("evaluate", "stored", tmp_path))
    assert "a whole number for --shots" in told(
        shell("evaluate", "few-shot", model, "--data", pictures, "--shots", "1.5")
    )
    assert "knn" in told(shell("evaluate", "compare", model, clip, "--data", pictures, "--by", "magic"))
    (tmp_path / "file").write_text("")
    assert "cannot" in told(shell("evaluate", "knn", model, "--data", pictures, "--cache", tmp_path / "file"))
