"""The starter through the shell, without any training: it names, finds, tells and answers about what it never saw."""

from __future__ import annotations

import json

from chiasm.weights.find import starter

UNSEEN = "world:compositional?size=64&seed=5&length=100"
CLOSE = f"{UNSEEN}&close_up=1"
LEAST = {"zero-shot": 0.7, "search": 0.48, "named": 0.78, "answers": 0.8}
"""Well below what its card tells of a thousand pictures, well above chance: 1 in 30 classes, 1 in 100 pictures."""


def answer(told):
    code, out, err = told
    assert code == 0, err
    return json.loads(out)


def test_it_is_small_and_tells_where_it_came_from(shell):
    shown = answer(shell("models", "show", "starter", "--json"))
    assert shown["name"] == "starter"
    assert "chiasm train starter --data 'world:train" in shown["card"]
    assert "**Limits**" in shown["card"]
    assert "95 % interval" in shown["card"]
    assert {"classify", "search", "caption", "describe", "ask", "match"} <= set(shown["tasks"])
    assert sum(path.stat().st_size for path in starter().folder.iterdir()) < 30e6


def test_it_names_classes_in_colours_that_it_never_saw_them_in(shell):
    found = answer(shell("evaluate", "zeroshot", "starter", "--data", CLOSE, "--bootstrap", 50, "--json"))
    scores = found["results"][0]["scores"]
    assert scores["accuracy"]["value"] > LEAST["zero-shot"]


def test_it_finds_pictures_by_words(shell, tmp_path):
    answer(shell("index", "starter", "--data", UNSEEN, "--out", tmp_path / "index", "--json"))
    found = answer(shell("search", "starter", "--index", tmp_path / "index", "--text", "a photo of a fish", "--json"))
    assert len(found["hits"]) == 10
    ways = answer(shell("evaluate", "retrieval", "starter", "--data", UNSEEN, "--bootstrap", 50, "--json"))
    assert ways["results"][0]["text_to_picture"]["recall_at_1"]["value"] > LEAST["search"]


def test_it_tells_and_answers(shell):
    told = answer(shell("evaluate", "captions", "starter", "--data", CLOSE, "--bootstrap", 50, "--json"))
    assert told["results"][0]["named_right"]["value"] > LEAST["named"]
    asked = answer(shell("evaluate", "vqa", "starter", "--data", CLOSE, "--bootstrap", 50, "--json"))
    assert asked["results"][0]["accuracy"]["value"] > LEAST["answers"]
    described = answer(shell("describe", "starter", "--data", f"{UNSEEN[:-3]}3", "--json"))
    assert all(one["text"].endswith(".") for one in described["descriptions"])
    matched = answer(shell("match", "starter", "--data", f"{UNSEEN[:-3]}20", "--json"))
    assert matched["num_matches"] == 100
