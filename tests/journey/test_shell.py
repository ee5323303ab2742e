"""From pictures to answers through the shell, as a person would go."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
import torch
from drawn import FAST, draw_pictures

from chiasm.core.tensors import read_tensors


def test_a_run_leaves_a_whole_artefact(model):
    assert {path.name for path in model.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "card.md",
        "metrics.json",
        "log.jsonl",
        "checkpoint.safetensors",
    }
    card = (model / "card.md").read_text()
    for fact in ("chiasm train simclr --data", "36 pictures", "minutes on", "knn_accuracy", "commit"):
        assert fact in card, fact
    events = [json.loads(line) for line in (model / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events][:2] == ["start", "probe"]
    assert not list(model.glob(".*.part"))


RECIPES = ("simclr", "moco-v3", "dino", "dinov2", "mae", "supervised", "distillation")


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_on_a_card_makes_the_same_run_again(shell, model, pictures, tmp_path, recipe):
    # Some options that are given by repetition, and some parts that are chosen from several kinds.
    more = ("--engine.betas", 0.8, "--engine.betas", 0.9, "--trunk.mlp.kind", "swiglu")
    more += ("--teacher", model) if recipe == "distillation" else ()
    out, again = tmp_path / "run", tmp_path / "again"
    code, _, err = shell("train", recipe, "--data", pictures, "--out", out, "--steps", 2, *FAST, *more)
    assert code == 0, err
    command = re.search(r"\*\*Command\*\*: `chiasm (.*)`", (out / "card.md").read_text())
    assert command
    words = [str(again) if word == str(out) else word for word in shlex.split(command[1])]
    code, _, err = shell(*words)
    assert code == 0, err
    first, second = (json.loads((folder / "log.jsonl").read_text().partition("\n")[0]) for folder in (out, again))
    assert first == second
    ours, theirs = (read_tensors(folder / "model.safetensors") for folder in (out, again))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_models_list_and_show(shell, model):
    code, out, _ = shell("models", "list", model.parent, "--json")
    assert code == 0
    starter, listed = json.loads(out)["models"]
    assert starter["path"] == "starter"
    assert listed["path"] == str(model)
    assert {"embed", "index", "search", "classify"} <= set(listed["tasks"])
    assert listed["num_parameters"] == sum(
        value.numel() for value in read_tensors(model / "model.safetensors").values()
    )
    code, _, err = shell("models", "list", model / "card.md")
    assert (code, "is a file" in err) == (2, True)
    code, out, _ = shell("models", "show", model)
    assert code == 0
    assert "simclr" in out


def test_embed_index_search(shell, model, pictures, tmp_path):
    code, out, _ = shell("embed", model, "--data", pictures, "--out", tmp_path / "vectors.npz", "--json")
    assert code == 0
    assert json.loads(out)["num_pictures"] == 36
    vectors = np.load(tmp_path / "vectors.npz")["vectors"]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    code, out, _ = shell("index", model, "--data", pictures, "--out", tmp_path / "index", "--json")
    assert (code, json.loads(out)["num_added"]) == (0, 36)
    code, out, _ = shell("index", model, "--data", pictures, "--out", tmp_path / "index", "--json")
    assert (code, json.loads(out)["num_added"], json.loads(out)["num_unchanged"]) == (0, 0, 36)
    query = pictures / "red" / "03.png"
    code, out, _ = shell("search", model, "--index", tmp_path / "index", "--query", query, "--limit", 3, "--json")
    hits = json.loads(out)["hits"]
    assert code == 0
    assert hits[0]["key"] == "red/03.png"
    assert hits[0]["score"] > 0.999


def test_classify_and_evaluate(shell, model, pictures, tmp_path):
    test = draw_pictures(tmp_path / "other", 4)
    words = ("classify", model, "--examples", pictures, "--data", test, "--shots", 5, "--json")
    answers = {}
    for learner in ("logistic", "centroid"):
        code, out, _ = shell(*words, "--learner", learner)
        assert code == 0
        answers[learner] = json.loads(out)
        assert answers[learner]["accuracy"]["value"] > 0.9
        assert set(answers[learner]["num_examples"].values()) == {5}
    assert answers["logistic"]["predictions"] != answers["centroid"]["predictions"]
    for evaluation in ("knn", "linear"):
        code, out, _ = shell("evaluate", evaluation, model, "--data", pictures, "--json")
        assert code == 0
        scores = json.loads(out)["results"][0]["scores"]
        assert scores["accuracy"]["low"] <= scores["accuracy"]["value"] <= scores["accuracy"]["high"]


def test_halved_model_answers_the_same(shell, model, pictures, tmp_path):
    code, out, _ = shell("compress", "half", model, "--data", pictures, "--out", tmp_path / "half", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["least_cosine"] > 0.99
    assert answer["bytes_after"] < 0.6 * answer["bytes_before"]
    code, out, _ = shell("evaluate", "knn", tmp_path / "half", "--data", pictures)
    assert code == 0


def test_interrupted_run_goes_on(shell, pictures, tmp_path):
    words = ("train", "simclr", "--data", pictures, "--out", tmp_path / "run", *FAST)
    code, _, _ = shell(*words, "--steps", 2)
    assert code == 0
    code, _, err = shell(*words, "--steps", 4)
    assert code == 2
    assert "--resume" in err
    code, out, _ = shell(*words, "--steps", 4, "--resume", "--json")
    assert (code, json.loads(out)["steps"]) == (0, 4)
    code, _, err = shell(*words, "--steps", 4, "--seed", 1, "--resume")
    assert code == 2
    assert "seed was 0 and is now 1" in err


def test_the_world_is_a_source_like_any_other(shell, tmp_path):
    data = "world:train?size=32&objects=1&length=64"
    code, out, _ = shell("train", "simclr", "--data", data, "--out", tmp_path / "run", "--steps", 2, *FAST, "--json")
    assert code == 0
    assert json.loads(out)["skipped"] == 0


def test_help_tells_every_option(shell):
    code, out, _ = shell("train", "simclr", "--help")
    assert code == 0
    for option in (
        "--data",
        "--out",
        "--trunk.size",
        "--objective.temperature",
        "--engine.lr",
        "--steps",
        "--minutes",
        "--seed",
        "--resume",
        "--probe",
    ):
        assert option in out, option


def test_raw_pixels_are_a_baseline_for_every_evaluation(shell, model, pictures):
    code, out, _ = shell("evaluate", "compare", model, "raw-pixels", "--data", pictures, "--bootstrap", 50, "--json")
    assert code == 0
    assert json.loads(out)["results"][0]["baseline"].startswith("raw pixels")
