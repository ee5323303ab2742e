"""Two processes do what one does: the same losses, weights, stops and failures, and runs go on with another number."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch.multiprocessing.spawn import spawn
from two_ranks_engine import OTHERWISE, Told, engine_in_two, train

from chiasm.core.errors import InputError
from chiasm.core.tensors import read_tensors
from chiasm.engine.budget import Steps
from chiasm.engine.checkpoint import FILE_NAME
from chiasm.engine.interrupt import InterruptedRunError
from chiasm.engine.processes import Processes, joined


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process does: losses and so on by the name of the run."""
    folder = tmp_path_factory.mktemp("one")
    return folder, {
        name: train(folder / name, **settings)
        for name, settings in {
            "whole": {},
            "otherwise": OTHERWISE,
        }.items()
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("ddp_resumed", "fsdp_resumed"):
        with pytest.raises(InterruptedRunError):
            train(folder / name, told=Told(2))
    spawn(engine_in_two, args=(str(folder),), nprocs=2)
    return folder, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


PAIRS = {
    "ddp": "whole",
    "fsdp": "whole",
    "fsdp_otherwise": "otherwise",
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_equal_one(one, two, name):
    told, outcome = one[1][PAIRS[name]]
    losses, norms, state, figures = two[1][0][name]
    assert len(losses) == 4
    assert losses == pytest.approx(told.losses, rel=1e-4)
    assert norms == pytest.approx(told.norms, rel=1e-3)
    assert figures["width"] == outcome.figures["width"]
    for key, value in outcome.trunk.state_dict().items():
        assert torch.allclose(value, state[key], atol=2e-3), key
    # Both processes know the figures; only the first one tells.
    assert two[1][1][name][0] == []
    assert two[1][1][name][3]["loss"] == figures["loss"]


@pytest.mark.parametrize("name", ["ddp_resumed", "fsdp_resumed"])
def test_a_run_goes_on_with_another_number_of_processes(one, two, name):
    losses, _, state, _ = two[1][0][name]
    assert losses == pytest.approx(one[1]["whole"][0].losses[2:], rel=1e-4)
    for key, value in one[1]["whole"][1].trunk.state_dict().items():
        assert torch.allclose(value, state[key], atol=2e-3), key


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_a_checkpoint_of_several_is_that_of_one(one, two, tmp_path, name):
    ours, theirs = (read_tensors(folder / run / FILE_NAME) for folder, run in ((one[0], "whole"), (two[0], name)))
    assert ours.keys() == theirs.keys()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    # A parameter that nobody used is as it was; one that one process used moved.
    assert torch.equal(theirs["objective.idle"], torch.ones(3))
    assert torch.allclose(ours["objective.rare"], theirs["objective.rare"], atol=2e-3)
    assert not torch.equal(theirs["objective.rare"], torch.ones(1))
    shutil.copytree(two[0] / name, tmp_path / name)
    told, outcome = train(tmp_path / name, resume=True, budget=Steps(6))
    assert outcome.steps == 6
    assert len(told.losses) == 2


def test_clocks_and_stops_are_shared(two):
    first, second = two[1]
    assert first["minutes"] == second["minutes"] > 0
    assert first["interrupted"][:2] == second["interrupted"][:2]
    assert first["interrupted"][0] == "InterruptedRunError"
    assert "SIGTERM came at step" in first["interrupted"][1]
    assert [seen["interrupted"][2:] for seen in (first, second)] == [(False, 130), (True, 130)]


def test_a_failure_of_one_ends_all_and_is_told_once(two):
    first, second = two[1]
    assert second["failed"][0] == "InputError"
    assert first["failed"] == (
        "ToldElsewhereError", "expected all processes to go on, but process 1 failed; see what it says.", True, 2
    )  # fmt: skip
    assert not second["failed"][2]
    assert "start without --resume" in first["refused"][1]


def test_processes_that_cannot_meet_are_told_so(monkeypatch):
    with joined(on_gpus=False) as alone:
        assert alone == Processes()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="RANK is not set; start by torchrun"), joined(on_gpus=False):
        pass
    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="a GPU for each of 2 processes, but 1 are here"), joined(on_gpus=True):
        pass
