"""Language in the shell: tie a trunk to words, caption, ask, classify by names, search, judge."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from chiasm.core.tensors import read_tensors
from chiasm.surfaces.cli import run

WORLD = "world:train?size=32&length=48"
TEST = "world:test?size=32&length=12"
TRUNK = {"image-size": 32, "patch-size": 8, "embed-dim": 16, "depth": 1, "num-heads": 2, "stem.kind": "linear"}
TEXT = {"embed-dim": 16, "depth": 1, "num-heads": 2}


def options(**parts: Mapping[str, object]) -> list[str]:
    """Settings of parts as words of a command line."""
    return [
        word
        for part, sizes in parts.items()
        for name, size in sizes.items()
        for word in (f"--{part}.{name}", str(size))
    ]


WORDS = ["--engine.batch-size", "8", "--objective.embed-dim", "12", "--steps", "3"]


@pytest.fixture(scope="module")
def writer(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("language") / "writer"
    sizes = options(**{"trunk": TRUNK, "objective.text": TEXT, "objective.writer": TEXT})
    assert run(["train", "vision-language", "--data", WORLD, "--out", str(out), *WORDS, *sizes]) == 0
    return out


def answer(result: tuple[int, str, str]) -> dict:
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def complaint(result: tuple[int, str, str]) -> str:
    code, _, err = result
    assert code == 2
    assert err.count("\n") == 1
    return err


def test_one_model_answers_in_words_and_vectors(shell, writer, tmp_path):
    assert {path.name for path in writer.iterdir()} >= {"tokenizer.json", "model.safetensors", "card.md"}
    told = answer(shell("caption", writer, "--data", TEST, "--json"))
    assert told["num_captions"] == len(told["captions"]) == 12
    assert all(0 <= one["certainty"] <= 1 for one in told["captions"])
    part = answer(shell("caption", writer, "--data", TEST, "--box", 0, 0, 16, 16, "--manner.num-beams", 2, "--json"))
    assert part["box"] == [0, 0, 16, 16]
    words = "--question", "How many objects are there?"
    free = answer(shell("ask", writer, "--data", TEST, *words, "--json"))
    assert free["num_answers"] == 12
    out = tmp_path / "answers.csv"
    chosen = answer(shell("ask", writer, "--data", TEST, *words, "--choices", "1,2,3", "--json"))
    for one in chosen["answers"]:
        assert one["text"] == next(iter(one["ranking"]))
        assert sum(one["ranking"].values()) == pytest.approx(1, abs=1e-6)
    answer(shell("ask", writer, "--data", TEST, *words, "--choices", "1,2,3", "--out", out, "--json"))
    assert out.read_text().splitlines()[0] == '"key","text","certainty","ranking"'
    names = answer(shell("classify", writer, "--data", TEST, "--labels", "circle,square", "--json"))
    assert names["classes_from"] == "labels"


def test_captions_and_answers_are_judged(shell, writer, pictures, tmp_path):
    page, data = tmp_path / "r.html", (TEST, pictures, "world:compositional?size=32&length=8")
    found = answer(shell("evaluate", "captions", writer, writer, "--data", *data, "--html", page, "--json"))
    assert [one["num_pictures"] for one in found["results"]] == [12, 8, 12, 8]
    assert [one["data"] for one in found["missing"]] == [str(pictures)] * 2
    assert "captions, the worst first" in page.read_text()
    found = answer(shell("evaluate", "vqa", writer, "--data", *data, "--html", page, "--json"))
    assert all(0 <= one["accuracy"]["value"] <= 1 for one in found["results"])
    assert [one["data"] for one in found["missing"]] == [str(pictures)]
    assert "By kind of question" in page.read_text()
    code, out, _ = shell("evaluate", "vqa", writer, "--data", TEST, "--choices", "yes,no")
    assert code == 0
    assert "choices" in out


@pytest.mark.parametrize("recipe", ["clip", "siglip"])
def test_a_locked_trunk_is_read_by_words(shell, writer, tmp_path, recipe):
    out = tmp_path / "tied"
    more = "--start-from", writer, "--objective.locked", *WORDS, *options(**{"objective.text": TEXT})
    answer(shell("train", recipe, "--data", WORLD, "--out", out, *more, "--json"))
    ours, theirs = read_tensors(out / "model.safetensors"), read_tensors(writer / "model.safetensors")
    kept = [name for name in ours if name.startswith("image_encoder.trunk.")]
    assert kept
    assert all((ours[name] == theirs[f"both.{name}"]).all() for name in kept)
    found = answer(shell("classify", out, "--data", TEST, "--labels", "circle,square", "--json"))
    assert found["independent"] is (recipe == "siglip")


def test_what_is_refused(shell, writer, pictures, model, tmp_path):
    out = tmp_path / "none"
    assert "has none; name pictures with captions" in complaint(
        shell("train", "clip", "--data", pictures, "--out", out)
    )
    assert "none was named" in complaint(shell("train", "clip", "--data", WORLD, "--out", out, "--objective.locked"))
    assert not out.exists()
    assert "a model that writes about pictures" in complaint(shell("caption", model, "--data", pictures))
    assert "two choices or more" in complaint(
        shell("ask", writer, "--data", pictures, "--question", "What?", "--choices", "one")
    )
    assert "an empty one came" in complaint(shell("ask", writer, "--data", pictures, "--question", " "))
    assert "right of left" in complaint(shell("caption", writer, "--data", pictures, "--box", 5, 5, 5, 9))


@pytest.mark.parametrize("recipe", ["clip", "siglip", "vision-language"])
def test_the_command_on_a_card_makes_the_same_run_again(shell, writer, tmp_path, recipe):
    out, again = tmp_path / "run", tmp_path / "again"
    sizes = options(**{"objective.text": TEXT} | ({"objective.writer": TEXT} if recipe == "vision-language" else {}))
    more = "--start-from", writer, "--objective.locked", *WORDS, *sizes
    answer(shell("train", recipe, "--data", WORLD, "--out", out, *more, "--json"))
    command = re.search(r"\*\*Command\*\*: `chiasm (.*)`", (out / "card.md").read_text())
    assert command
    words = [str(again) if word == str(out) else word for word in shlex.split(command[1])]
    assert shell(*words)[0] == 0
    ours, theirs = (read_tensors(folder / "model.safetensors") for folder in (out, again))
    assert all((value == theirs[name]).all() for name, value in ours.items())
    assert (out / "tokenizer.json").read_text() == (again / "tokenizer.json").read_text()
