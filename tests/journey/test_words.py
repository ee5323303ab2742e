"""Captions, answers, prompts and maps through the shell, as a person would type them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tiny_clip import save_tiny_clip

from chiasm.data.open import open_source

pytest.importorskip("transformers")
WORLD = "world:test?length=12&size=32"


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("hub") / "clip")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with captions that another tool wrote, and answers of which every third is no."""
    folder = tmp_path_factory.mktemp("written")
    source = open_source(WORLD)
    examples = [source.read(index) for index in range(len(source))]
    captions = [{"key": one.key, "text": one.captions[0]} for one in examples]
    asked = [(one.key, pair) for one in examples for pair in one.questions]
    answers = [
        {"key": key, "question": pair.question, "text": pair.answer if place % 3 else "no"}
        for place, (key, pair) in enumerate(asked)
    ]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, captions)))
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    return folder


def answer(result: tuple[int, str, str]) -> dict:
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def told(result: tuple[int, str, str]) -> str:
    """The one line that says what is wrong."""
    code, out, err = result
    assert (code, out) == (2, ""), err
    (line,) = [line for line in err.splitlines() if line.strip()]
    return line


def test_captions_of_another_tool_are_judged(shell, clip, written):
    words = ("evaluate", "captions", "--data", WORLD, "--answers", written / "captions.jsonl", "--bootstrap", 20)
    (found,) = answer(shell(*words, "--scorer", clip, "--json"))["results"]
    assert found["scores"]["bleu_4"]["value"] == pytest.approx(1)
    assert found["scores"]["cider_d"]["value"] > found["baseline"]["cider_d"]["value"]
    assert found["scorer"] == str(clip)
    assert 0 <= found["scores"]["clip_score"]["low"] <= found["scores"]["clip_score"]["value"] <= 2.5
    code, out, _ = shell(*words)
    assert code == 0
    assert "CIDEr-D" in out
    assert "CLIPScore" not in out


def test_texts_of_another_tool_are_judged_on_several_data_sets(shell, written, pictures, tmp_path):
    more, page, table = "world:compositional?length=6&size=32", tmp_path / "r.html", tmp_path / "t.csv"
    for what, files in (("captions", "captions.jsonl"), ("vqa", "answers.jsonl")):
        words = ("evaluate", what, "--data", WORLD, more, pictures, "--answers", written / files, "--bootstrap", 20)
        found = answer(shell(*words, "--csv", table, "--html", page, "--json"))
        assert [one["data"] for one in found["results"]] == [WORLD]
        assert [one["data"] for one in found["missing"]] == [more, str(pictures)]
        assert "write keys and questions as the source does" in found["missing"][0]["reason"]
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [bool(row["why not"]) for row in rows] == [False, True, True]
        assert "<figure" in page.read_text()
        assert "has none" in page.read_text()


def test_answers_of_another_tool_are_judged(shell, written):
    words = ("evaluate", "vqa", "--data", WORLD, "--answers", written / "answers.jsonl", "--bootstrap", 20)
    (found,) = answer(shell(*words, "--train", "world:train?length=12&size=32", "--json"))["results"]
    assert 0.6 < found["accuracy"]["value"] < 1
    assert found["baseline_from"].startswith("world:train")
    assert {kind["kind"] for kind in found["kinds"]} >= {"exists", "count"}
    assert found["num_missing"] == 0


def test_what_is_wrong_with_answers_is_one_line(shell, clip, written):
    captions = ("evaluate", "captions", "--data", WORLD)
    assert "a model or --answers, but none came" in told(shell(*captions))
    assert "such file exists" in told(shell(*captions, "--answers", written / "capions.jsonl"))
    assert "a model that writes about pictures" in told(shell("evaluate", "captions", clip, "--data", WORLD))
    assert "the key 'text'" in told(
        shell("evaluate", "captions", "--data", WORLD, "--answers", bare(written / "bare.jsonl"))
    )


def bare(path: Path) -> Path:
    path.write_text('{"key": "test/000000"}')
    return path


def test_prompts_are_studied(shell, clip, pictures):
    words = ("prompts", "study", clip, "--data", pictures, "--bootstrap", 20)
    found = answer(shell(*words, "--json"))
    assert len(found["templates"]) == 7
    assert len(found["effects"]) == 7 * len(found["classes"])
    code, out, _ = shell(*words, "--templates", "a {}.")
    assert code == 0
    assert "against plain" in out
    assert "sees pictures only" in told(shell("prompts", "study", "raw-pixels", "--data", pictures))


@pytest.mark.parametrize("learner", ["tip-adapter", "tip-adapter-f?epochs=2", "coop?epochs=1&words=a photo of a"])
def test_names_and_examples_are_learnt_together(shell, clip, pictures, learner):
    words = ("classify", clip, "--examples", pictures, "--data", pictures, "--shots", 2, "--bootstrap", 20)
    found = answer(shell(*words, "--learner", learner, "--json"))
    assert found["classes_from"] == "labels and examples"
    assert set(found["num_examples"].values()) == {2}
    assert found["num_scored"] == len(found["predictions"]) - 2 * len(found["num_examples"])
    assert "did you mean 'epochs'" in told(shell(*words, "--learner", "coop?epoch=1"))
    alone = told(shell("classify", clip, "--data", pictures, "--labels", "red,blue", "--learner", learner))
    assert "examples to learn from, but a learner came alone" in alone
    assert "did you mean 'tip" in told(shell(*words, "--learner", "tip-adaptor"))


def test_two_models_are_drawn_on_one_map(shell, clip, pictures, tmp_path):
    page, gif = tmp_path / "map.html", tmp_path / "map.gif"
    words = ("map", clip, "--other", "raw-pixels", "--data", pictures, "--method", "pca", "--out", page)
    found = answer(shell(*words, "--animation", gif, "--json"))
    assert found["num_points"] == found["num_pictures"] == len(open_source(str(pictures)))
    assert 0 <= found["apart"] <= 1
    assert page.read_text().count("<figure") >= 3
    assert gif.read_bytes().startswith(b"GIF89a")
    assert "one of pca, tsne, umap" in told(shell(*words[:-4], "--method", "mds", "--out", page))
