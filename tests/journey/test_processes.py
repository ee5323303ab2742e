"""The same command in several processes, as torchrun starts them: one folder, one log, one answer, one complaint."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from drawn import FAST

from chiasm.core.tensors import read_tensors

WORDS = ("train", "supervised", *FAST, "--engine.log-every", "1", "--engine.precision", "fp32")


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command line in two processes."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "chiasm")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [*launcher, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def told(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def one(shell_once, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "run"
    assert shell_once(*WORDS, "--data", pictures, "--out", out, "--steps", 4) == 0
    return out


@pytest.fixture(scope="module")
def shell_once():
    """Run a command line in this process; returns the exit code."""
    from chiasm.surfaces.cli import run

    return lambda *words: run([str(word) for word in words])


@pytest.fixture(scope="module")
def two(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("two") / "run"
    return out, torchrun(*WORDS, "--data", pictures, "--out", out, "--steps", 4, "--json")


def test_two_processes_leave_what_one_leaves(one, two):
    out, done = two
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 4
    assert {path.name for path in out.iterdir()} == {path.name for path in one.iterdir()}
    steps = [[line["loss"] for line in told(folder) if line["event"] == "step"] for folder in (one, out)]
    assert len(steps[0]) == len(steps[1]) == 4
    assert steps[1] == pytest.approx(steps[0], rel=1e-3)
    assert [line["processes"] for line in told(out) if line["event"] == "start"] == ["2"]
    assert done.stderr.count("step 4") == 1
    ours, theirs = (read_tensors(folder / "model.safetensors") for folder in (one, out))
    for name, value in ours.items():
        assert value.allclose(theirs[name], atol=5e-3), name


def test_two_phases_of_two(pictures, tmp_path):
    out = tmp_path / "run"
    words = ("train", "dinov2", *FAST, "--engine.precision", "fp32", "--final-size", "48")
    done = torchrun(*words, "--data", pictures, "--out", out, "--steps", 3, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3
    lengths = [line["length"] for folder in (tmp_path / "run-before", out) for line in told(folder)[:1]]
    assert lengths == ["2 steps", "1 steps"]


def test_a_run_of_two_goes_on_in_one(two, pictures, shell_once):
    out, _ = two
    assert shell_once(*WORDS, "--data", pictures, "--out", out, "--resume", "--steps", 6) == 0
    assert [line["step"] for line in told(out) if line["event"] == "step"] == [1, 2, 3, 4, 5, 6]


def test_a_complaint_comes_once(one, pictures):
    done = torchrun(*WORDS, "--data", pictures, "--out", one)
    assert done.returncode != 0
    assert done.stderr.count("chiasm: expected an empty or new folder") == 1
    assert "chiasm: expected all processes" not in done.stderr
