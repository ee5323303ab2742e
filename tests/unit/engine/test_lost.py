"""What a night's run dies of: broken numbers, full disks, Ctrl-C at a bad moment, clocks that jump, torn logs."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toys import ToyBatches, ToyObjective

from chiasm.core.errors import InputError, TrainingStoppedError
from chiasm.core.tensors import read_tensors
from chiasm.engine import checkpoint
from chiasm.engine.budget import Minutes, Steps
from chiasm.engine.interrupt import InterruptedRunError
from chiasm.engine.logs import JsonLines
from chiasm.engine.loop import Engine, Outcome
from chiasm.engine.settings import Settings

OFTEN = Settings(
    batch_size=16, log_every=1, lr=0.05, precision="fp32", accelerator="cpu", checkpoint_minutes=1e-9, num_probes=4
)
NUM_STEPS = 20


def fit(folder: Path, make: Callable[[], ToyObjective] = ToyObjective, resume: bool = False, **parts) -> Outcome:
    settings = parts.pop("settings", OFTEN)
    torch.manual_seed(3)
    engine = Engine(settings, parts.pop("budget", Steps(NUM_STEPS)), folder, run={"seed": "3"}, **parts)
    return engine.fit(make(), ToyBatches(), resume)


class Poisoned(ToyObjective):
    """At one of its steps the loss, or its gradient alone, is spoiled."""

    def __init__(self, step: int, spoil) -> None:
        super().__init__()
        self.step, self.spoil, self.num_calls = step, spoil, 0

    def forward(self, batch, progress):
        losses = super().forward(batch, progress)
        self.num_calls += 1
        return losses._replace(total=self.spoil(losses.total)) if self.num_calls == self.step else losses


def root_of_nothing(loss: torch.Tensor) -> torch.Tensor:
    """The same loss with a gradient that is infinite times zero."""
    return loss + (loss - loss).sqrt()


def too_steep(loss: torch.Tensor) -> torch.Tensor:
    """The same loss with an infinite gradient."""
    return loss + ((loss - loss.detach()) * 1e38) * 1e38


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda loss: loss * float("nan"), "step 7 the loss became nan"),
        (lambda loss: loss * float("inf"), "step 7 the loss became inf"),
        (root_of_nothing, "step 7 the gradient became nan"),
        (too_steep, "step 7 the gradient became (nan|inf)"),
    ],
)
def test_what_is_not_finite_never_reaches_the_disk(tmp_path, spoil, told):
    whole = fit(tmp_path / "whole")
    out = tmp_path / "run"
    with pytest.raises(TrainingStoppedError, match=told):
        fit(out, lambda: Poisoned(7, spoil))
    path = out / checkpoint.FILE_NAME
    assert checkpoint.read_position(path).step == 6
    assert all(value.isfinite().all() for value in read_tensors(path).values())
    # A chance event (a memory fault) does not come again; what comes again is stopped again.
    with pytest.raises(TrainingStoppedError, match="step 7"):
        fit(out, lambda: Poisoned(1, spoil), resume=True)
    resumed = fit(out, resume=True)
    for name, value in whole.trunk.state_dict().items():
        assert torch.equal(value, resumed.trunk.state_dict()[name])


def test_a_step_that_was_too_long_is_not_kept_either(tmp_path):
    class Overflowing(ToyObjective):
        def after_step(self, progress):
            if progress == 0.5:
                with torch.no_grad():
                    self.out.weight.mul_(float("inf"))

    with pytest.raises(TrainingStoppedError, match=r"after step 10 objective\.out\.weight holds others"):
        fit(tmp_path, Overflowing)
    assert checkpoint.read_position(tmp_path / checkpoint.FILE_NAME).step == 9


class Doubtful(ToyObjective):
    """In doubt from one step on to another."""

    def __init__(self, doubtful: range) -> None:
        super().__init__()
        self.doubtful, self.num_asked = doubtful, 0

    def doubt(self, terms):
        self.num_asked += 1
        return f"mse {terms['mse']:.3f} looks wrong" if self.num_asked in self.doubtful else None


def test_a_doubt_is_told_in_the_log_and_ends_the_run_when_it_lasts(tmp_path):
    listeners = [JsonLines(tmp_path / "log.jsonl")]
    rarely = OFTEN.model_copy(update={"checkpoint_minutes": 5.0})
    fit(tmp_path, lambda: Doubtful(range(30, 170)), budget=Steps(200), settings=rarely, listeners=listeners)
    (warning,) = [line for line in lines(tmp_path) if line["event"] == "warning"]
    assert warning["step"] == 79
    assert "looks wrong, for 50 steps now" in warning["words"]
    with pytest.raises(TrainingStoppedError, match=r"step 229, and for 200 steps in a row, mse .* wrong: .*collaps"):
        fit(tmp_path / "other", lambda: Doubtful(range(30, 300)), budget=Steps(300), settings=rarely)


def test_figures_of_an_objective_that_say_nothing_are_no_doubt():
    assert ToyObjective().doubt({"mse": float("nan")}) is None


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "torn", [b'{"event": "st', b"\0\0\0\0", b"\xff\xfe\x80", b"12\n", b"null\n", b'{"step": null}\n']
)
def test_a_torn_log_is_mended(tmp_path, torn):
    log = tmp_path / "log.jsonl"

    def stop(trunk):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"knn": 0.5}

    with pytest.raises(InterruptedRunError, match="step 1"):
        fit(tmp_path, listeners=[JsonLines(log)], probes=[stop])
    log.write_bytes(log.read_bytes() + torn)
    fit(tmp_path, resume=True, listeners=[JsonLines(log)], probes=[lambda trunk: {"knn": 0.5}])
    assert [line["step"] for line in lines(tmp_path) if line["event"] == "step"] == list(range(1, NUM_STEPS + 1))
    assert [line["step"] for line in lines(tmp_path) if line["event"] == "probe"] == [0, 5, 10, 15, 20]


def test_a_log_on_a_full_disk_ends_the_run_in_one_line_and_a_checkpoint_stays(tmp_path):
    log = JsonLines(tmp_path / "log.jsonl")

    class FullAtSix(JsonLines):
        def stepped(self, event):
            path = tmp_path / "log.jsonl"
            if event.step == 6:
                path.unlink()
                path.symlink_to("/dev/full")
            super().stepped(event)

    whole = fit(tmp_path / "whole")
    with pytest.raises(InputError, match=r"room to write .*log\.jsonl, but the disk is full"):
        fit(tmp_path, listeners=[FullAtSix(tmp_path / "log.jsonl")])
    assert checkpoint.read_position(tmp_path / checkpoint.FILE_NAME).step == 5
    (tmp_path / "log.jsonl").unlink()
    resumed = fit(tmp_path, resume=True, listeners=[log])
    for name, value in whole.trunk.state_dict().items():
        assert torch.equal(value, resumed.trunk.state_dict()[name])


@pytest.mark.parametrize("fails", ["chiasm.core.tensors.save_file", "os.fsync", "pathlib.Path.replace"])
def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before(tmp_path, monkeypatch, fails):
    before: list[bytes] = []

    class FullAtSix(ToyObjective):
        def after_step(self, progress):
            if progress == 6 / NUM_STEPS:
                before.append((tmp_path / checkpoint.FILE_NAME).read_bytes())
                monkeypatch.setattr(fails, full)

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"room to write .*checkpoint\.safetensors, but the disk is full"):
        fit(tmp_path, FullAtSix)
    monkeypatch.undo()
    assert (tmp_path / checkpoint.FILE_NAME).read_bytes() == before[0]
    assert checkpoint.read_position(tmp_path / checkpoint.FILE_NAME).step == 5
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE_NAME]
    assert fit(tmp_path, resume=True).steps == NUM_STEPS


def test_ctrl_c_while_the_probe_looks_saves_once_it_has_looked(tmp_path):
    def probe(trunk):
        if looks:
            os.kill(os.getpid(), signal.SIGINT)
        looks.append(trunk)
        return {"knn": 0.5}

    looks: list[object] = []
    rarely = OFTEN.model_copy(update={"checkpoint_minutes": 5.0})
    with pytest.raises(InterruptedRunError, match="SIGINT came at step 5"):
        fit(tmp_path, probes=[probe], settings=rarely)
    position = checkpoint.read_position(tmp_path / checkpoint.FILE_NAME)
    assert (position.step, position.figures["knn"]) == (5, 0.5)
    seen: list[object] = []
    fit(tmp_path, probes=[lambda trunk: seen.append(trunk) or {"knn": 0.5}], settings=rarely, resume=True)
    assert len(seen) == 3


def test_ctrl_c_twice_ends_at_once_and_leaves_the_checkpoint_of_before(tmp_path):
    def probe(trunk):
        looks.append(trunk)
        if len(looks) > 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return {"knn": 0.5}

    looks: list[object] = []
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, probes=[probe])
    assert time.monotonic() - began < 5
    assert checkpoint.read_position(tmp_path / checkpoint.FILE_NAME).step == 4
    assert fit(tmp_path, resume=True).steps == NUM_STEPS


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    jumps = iter(range(1, 1_000_000))
    monkeypatch.setattr(time, "time", lambda: -1e9 * next(jumps))
    outcome = fit(tmp_path, budget=Minutes(0.002), settings=OFTEN.model_copy(update={"checkpoint_minutes": 5.0}))
    assert 0.12 <= outcome.seconds < 30
    assert checkpoint.read_position(tmp_path / checkpoint.FILE_NAME).seconds == outcome.seconds
