"""Whatever ends a run, it goes on with the same bits: killed in the middle of each kind of writing, two at once."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import FAST, draw_pictures

from chiasm.core.files import held

SCRIPT = Path(__file__).parents[1] / "support" / "killed.py"
TIMED = ("seconds", "images_per_second", "waiting_for_data")
CHECKPOINT, MODEL = "checkpoint.safetensors", "model.safetensors"
MOMENTS = {
    "left alone": (),
    # Before there is any checkpoint, while the log is brought back, and just as a checkpoint takes its place.
    "on the way": (
        f"half {CHECKPOINT}:1",
        "line:3",
        f"before {CHECKPOINT}:1",
        f"after {CHECKPOINT}:2",
        "before log.jsonl:1",
        f"during {CHECKPOINT}:2",
    ),
    # The last checkpoint is there, the model is on its way.
    "at the end": ("line:5", f"half {MODEL}:1", f"before {MODEL}:1", f"after {MODEL}:1", "after config.json:1"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs on thirty pictures, one of them broken."""
    folder = tmp_path_factory.mktemp("killed")
    pictures = draw_pictures(folder / "pictures", 10)
    (pictures / "red" / "03.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    words = itertools.chain.from_iterable((str(folder / name), *moments, "--") for name, moments in MOMENTS.items())
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(pictures), *words], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def told(out: Path, kind: str) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    found = [event for event in events if event["event"] == kind]
    return [{name: value for name, value in event.items() if name not in TIMED} for event in found]


@pytest.mark.parametrize("name", ["on the way", "at the end"])
def test_killed_again_and_again_it_ends_with_the_same_bits(runs, name):
    out, alone = runs / name, runs / "left alone"
    assert (out / MODEL).read_bytes() == (alone / MODEL).read_bytes()
    assert [line["step"] for line in told(out, "step")] == list(range(1, 9))
    for kind in ("step", "probe"):
        assert told(out, kind) == told(alone, kind)
    assert (out / "skipped.jsonl").read_text() == (alone / "skipped.jsonl").read_text()
    assert json.loads((out / "skipped.jsonl").read_text())["key"] == "red/03.png"
    assert {path.name for path in out.iterdir()} == {path.name for path in alone.iterdir()}


@pytest.fixture
def train(shell, pictures, tmp_path):
    """Train for some steps on a copy of somebody's pictures, which a test may spoil."""
    own = shutil.copytree(pictures, tmp_path / "own")

    def call(*words: object, data: Path = own) -> tuple[int, str]:
        code, _, err = shell("train", "simclr", "--data", data, "--out", tmp_path / "run", *FAST, *words)
        assert "Traceback" not in err
        return code, err.strip().splitlines()[-1]

    return call


def test_two_runs_do_not_share_a_folder(train, tmp_path):
    assert train("--steps", 2)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with held(tmp_path / "run"):
        for words in (("--resume", "--steps", 3), ("--resume",)):
            code, line = train(*words)
            assert code == 2
            assert "another process is writing to it" in line
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before
    assert train("--resume", "--steps", 3)[0] == 0


def test_a_first_start_does_not_clear_away_a_run_that_is_just_beginning(train, tmp_path):
    (tmp_path / "run").mkdir()
    with held(tmp_path / "run"):
        assert "another process" in train("--steps", 2)[1]
    assert (tmp_path / "run").is_dir()


def test_a_source_that_shrank_is_not_resumed(train, tmp_path):
    assert train("--steps", 2)[0] == 0
    (tmp_path / "own" / "red" / "03.png").unlink()
    code, line = train("--resume", "--steps", 4)
    assert code == 2
    assert re.search(r"data was .* \(36 pictures, .* and is now .* \(35 pictures", line)


def test_a_source_with_other_pictures_is_not_resumed(train, tmp_path):
    assert train("--steps", 2)[0] == 0
    (tmp_path / "own" / "red" / "03.png").rename(tmp_path / "own" / "red" / "99.png")
    code, line = train("--resume", "--steps", 4)
    assert code == 2
    first, second = re.findall(r"\(36 pictures, list (\w+)\)", line)
    assert first != second


def test_pictures_that_vanish_while_a_run_rests_are_listed_when_it_goes_on(train, tmp_path):
    assert train("--steps", 2)[0] == 0
    for path in sorted((tmp_path / "own" / "blue").iterdir())[:3]:
        path.write_bytes(b"")
    code, line = train("--resume", "--steps", 9)
    assert code == 0, line
    listed = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert {entry["key"] for entry in listed} == {"blue/00.png", "blue/01.png", "blue/02.png"}
    assert {entry["reason"] for entry in listed} == {"the file is empty"}
    # Once found, they are counted though a later part of the run met none of them.
    assert "3 of those met passed over" in (tmp_path / "run" / "card.md").read_text()
    assert train("--resume", "--steps", 9)[0] == 0
    assert "3 of those met passed over" in (tmp_path / "run" / "card.md").read_text()


def test_ctrl_c_before_the_first_step_says_so_and_leaves_nothing(train, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("chiasm.engine.logs.JsonLines.started", interrupted)
    assert train("--steps", 2) == (130, "chiasm: interrupted.")
    assert not (tmp_path / "run").exists()
