"""Whatever a person gets wrong is told in one line, with exit code 2, and leaves nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from drawn import FAST
from safetensors.torch import save_file

from chiasm.core.tensors import read_tensors

NO_ACCELERATOR = [word for word in FAST if word not in ("--engine.accelerator", "cpu")]


def told(result: tuple[int, str, str]) -> str:
    """The one line; standard output stays empty."""
    code, out, err = result
    assert code == 2, err
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("chiasm: ")
    assert "Traceback" not in err
    assert out == ""
    return lines[0]


def told_with_table(result: tuple[int, str, str]) -> list[str]:
    """The line, and the lines of a table below it."""
    code, out, err = result
    assert code == 2, err
    assert out == ""
    return err.splitlines()


@pytest.fixture
def train(shell, tmp_path):
    def call(*words: object, data: object = "missing", steps: tuple = ("--steps", 2), fast: list[str] = FAST):
        return shell("train", "simclr", "--data", data, "--out", tmp_path / "run", *steps, *fast, *words)

    return call


def test_missing_path(train, pictures, tmp_path):
    line = told(train(data=str(pictures).replace("pictures", "picturse")))
    assert "did you mean" in line
    assert str(pictures) in line
    assert not (tmp_path / "run").exists()


def test_empty_folder(train, tmp_path):
    (tmp_path / "none").mkdir()
    assert "empty" in told(train(data=tmp_path / "none"))
    assert not (tmp_path / "run").exists()


def test_unknown_command_objective_and_option(shell, train, pictures):
    assert "search" in told(shell("serch", "x"))
    assert "simclr" in told(shell("train", "simcrl", "--data", pictures, "--out", "x"))
    assert "--engine.lr" in told(train("--engine.lrr", 1, data=pictures))
    assert "--steps" in told(shell("train", "simclr", "--data", pictures, "--out", "x", "--stpes", 3))


def test_options_that_make_no_sense(shell, train, pictures, tmp_path):
    assert "--steps or --minutes" in told(train("--minutes", 3, data=pictures))
    assert "lr" in told(train("--engine.lr", "fast", data=pictures))
    assert "lr" in told(train("--engine.lr", -1, data=pictures))
    assert "size" in told(train("--trunk.size", "picco", data=pictures))
    assert "--trunk.patch-size once" in told(train("--trunk.patch-size", 7, data=pictures))
    words = ("train", "simclr", "--data", pictures, "--out", tmp_path / "run", "--trunk.image-size", 32)
    assert "multiple" in told(shell(*words, "--trunk.patch-size", 7))
    assert "--trunk.positions.learned.theta does not fit" in told(train("--trunk.positions.theta", 5, data=pictures))
    assert "mlp-ratio" in told(train("--trunk.mlp.mlp-ratio", "x", data=pictures))
    assert not (tmp_path / "run").exists()


def test_homes_of_nobody(train):
    assert "~nobody-of-this-name" in told(train(data="~nobody-of-this-name/pictures"))


def test_unknown_model_and_learner(shell, model, pictures, tmp_path):
    line = told(shell("evaluate", "knn", str(model).replace("first", "frist"), "--data", pictures))
    assert "did you mean" in line
    assert str(model) in line
    line = told(shell("classify", model, "--examples", pictures, "--data", pictures, "--learner", "logistik"))
    assert "'logistic'" in line
    assert "weights" in told(shell("embed", pictures, "--data", pictures, "--out", tmp_path / "x.npz"))


@pytest.fixture
def broken(model, tmp_path):
    return shutil.copytree(model, tmp_path / "copy")


def test_config_with_an_extra_key(shell, broken, pictures):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "modle": 1}))
    assert "'modle'" in told(shell("evaluate", "knn", broken, "--data", pictures))
    config["config"]["trunk"]["image_sise"] = 3
    (broken / "config.json").write_text(json.dumps(config))
    assert "did you mean 'image_size'" in told(shell("evaluate", "knn", broken, "--data", pictures))
    (broken / "config.json").write_text("{")
    assert "JSON" in told(shell("evaluate", "knn", broken, "--data", pictures))


def rewrite(folder: Path, tensors: dict) -> None:
    """Other weights, and the config made to name them."""
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps({**config, "weights_sha256": digest}))


def test_artefact_with_missing_extra_or_broken_tensors(shell, broken, pictures):
    path = broken / "model.safetensors"
    tensors = read_tensors(path)
    name = next(iter(tensors))
    rewrite(broken, {key: value for key, value in tensors.items() if key != name})
    line, *table = told_with_table(shell("evaluate", "knn", broken, "--data", pictures))
    assert f"1 missing (the first is {name})" in line
    assert table[0].split() == ["tensor", "is", "expected", "came"]
    assert table[1].split()[:2] == [name, "missing"]
    rewrite(broken, {**tensors, "more": tensors[name].clone()})
    line, _, row = told_with_table(shell("evaluate", "knn", broken, "--data", pictures))
    assert "1 unexpected (the first is more)" in line
    assert row.split()[:2] == ["more", "unexpected"]
    path.write_bytes(path.read_bytes()[:1000])
    assert "copy the whole folder again" in told(shell("evaluate", "knn", broken, "--data", pictures))
    path.unlink()
    assert "missing" in told(shell("evaluate", "knn", broken, "--data", pictures))
    assert "a file of weights" in told(shell("evaluate", "knn", broken / "config.json", "--data", pictures))


def test_a_picture_that_is_a_text_file(shell, train, pictures, tmp_path, model):
    folder = shutil.copytree(pictures, tmp_path / "mixed")
    (folder / "red" / "note.jpg").write_text("not a picture")
    assert train(data=folder)[0] == 0
    (entry,) = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert entry["key"] == "red/note.jpg"
    code, out, _ = shell("embed", model, "--data", folder, "--out", tmp_path / "v.npz", "--json")
    assert code == 0
    assert list(json.loads(out)["skipped"]) == ["red/note.jpg"]
    line = told(shell("search", model, "--index", tmp_path / "nowhere", "--query", folder / "red" / "note.jpg"))
    assert "index" in line


def test_a_folder_of_text_files_ends_with_an_error(train, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.jpg").write_text("not a picture")
    assert "readable picture" in told_last(train(data=folder))
    assert not (tmp_path / "run" / "config.json").exists()


def test_out_that_is_taken(shell, train, pictures, tmp_path):
    (tmp_path / "run").write_text("a file")
    assert "is a file" in told(train(data=pictures))
    (tmp_path / "run").unlink()
    assert "there is none" in told(train("--resume", data=pictures))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep me")
    assert "not empty" in told(train(data=pictures))
    assert "there is none" in told(train("--resume", data=pictures))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_full_disk(train, pictures, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("chiasm.core.tensors.save_file", full)
    line = told_last(train(data=pictures))
    assert "disk is full" in line
    assert not list((tmp_path / "run").glob(".*"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_that_came_to_nothing_leaves_nothing(train, pictures, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("chiasm.engine.logs.JsonLines.started", full)
    assert "disk" in told_last(train(data=pictures))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    assert "disk" in told_last(train(data=pictures))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_diverged_keeps_its_log_and_may_begin_again_when_asked(train, pictures, tmp_path):
    line = told_last(train("--engine.lr", 1e30, "--engine.warmup", 0, "--steps", 20, data=pictures, steps=()))
    assert "start again elsewhere" in line
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert log
    line = told(train(data=pictures))
    assert "not empty" in line
    assert "--resume" in line
    assert (tmp_path / "run" / "log.jsonl").read_text() == log
    # Its length was written down, so it need not be given.
    assert train("--resume", data=pictures, steps=())[0] == 0
    assert '"step": 20' in (tmp_path / "run" / "log.jsonl").read_text()
    # Beside a finished model there is nothing to begin again.
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    assert "there is none" in told(train("--resume", data=pictures))


def test_accelerators(train, pictures, tmp_path):
    words = ("--engine.accelerator", "mps")
    assert "'cpu'" in told(train("--engine.accelerator", "warp-drive", data=pictures, fast=NO_ACCELERATOR))
    if not torch.backends.mps.is_available():
        assert "a machine with 'mps'" in told(train(*words, data=pictures, fast=NO_ACCELERATOR))
        assert not (tmp_path / "run").exists()


def told_last(result: tuple[int, str, str]) -> str:
    """The last line, where progress was shown before it."""
    code, _, err = result
    assert code == 2
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]
