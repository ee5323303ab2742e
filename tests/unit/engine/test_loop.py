"""The loop: same bits after an interruption, clear stops, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import torch
from toys import ToyBatches, ToyObjective

from chiasm.core.errors import InputError, TrainingStoppedError
from chiasm.core.tensors import read_tensors
from chiasm.engine import checkpoint
from chiasm.engine.budget import Minutes, Steps
from chiasm.engine.interrupt import InterruptedRunError
from chiasm.engine.logs import JsonLines
from chiasm.engine.loop import Engine
from chiasm.engine.settings import Settings

FAST = Settings(batch_size=16, log_every=5, lr=0.05, ema_momentum=0.9, precision="fp32", accelerator="cpu")


class Recorder:
    """Keeps what the loop tells; can raise a signal at a step."""

    def __init__(self, kill_at: int = -1, kill_with: signal.Signals = signal.SIGTERM) -> None:
        self.steps, self.probes, self.warnings, self.facts, self.ended = [], [], [], {}, False
        self._kill_at, self._kill_with = kill_at, kill_with

    def started(self, first_step, facts):
        self.first_step, self.facts = first_step, dict(facts)

    def stepped(self, event):
        self.steps.append(event)
        if event.step == self._kill_at:
            os.kill(os.getpid(), self._kill_with)

    def probed(self, event):
        self.probes.append(event)

    def warned(self, step, words):
        self.warnings.append((step, words))

    def finished(self):
        self.ended = True


def run(folder, *, steps=30, resume=False, recorder=None, objective=None, settings=FAST, probes=(), details=None):
    torch.manual_seed(3)
    objective = objective or ToyObjective()
    listeners = [recorder] if recorder else []
    engine = Engine(settings, Steps(steps), folder, listeners, probes, details or {"seed": "3"})
    batches = ToyBatches()
    outcome = engine.fit(objective, batches, resume)
    return outcome, objective, batches


@pytest.mark.parametrize("kill_with", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, kill_with):
    whole, _, _ = run(tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match=r"step 15.*--resume") as stopped:
        run(tmp_path / "parts", recorder=Recorder(15, kill_with))
    assert stopped.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before
    torch.manual_seed(99)
    torch.rand(100)
    resumed, _, batches = run(tmp_path / "parts", resume=True)
    assert batches.asked[0] == 15
    ours, theirs = (read_tensors(tmp_path / name / checkpoint.FILE_NAME) for name in ("whole", "parts"))
    assert ours.keys() == theirs.keys()
    assert any(name.startswith("optimizer.") for name in ours)
    assert any(name.startswith("ema.") for name in ours)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    for name, value in whole.trunk.state_dict().items():
        assert torch.equal(value, resumed.trunk.state_dict()[name])


def test_another_seed_gives_other_weights_from_the_same_start(tmp_path):
    # The equality above would be empty if dropout did not draw from what the seed tells.
    one, _, _ = run(tmp_path / "one")
    torch.manual_seed(3)
    engine = Engine(FAST, Steps(30), tmp_path / "two", run={"seed": "3"}, seed=4)
    two = engine.fit(ToyObjective(), ToyBatches(), resume=False)
    assert not torch.equal(one.trunk.state_dict()["layer.weight"], two.trunk.state_dict()["layer.weight"])


def test_it_learns_and_tells(tmp_path):
    recorder = Recorder()
    outcome, objective, _ = run(tmp_path, steps=60, recorder=recorder, probes=[lambda trunk: {"mode": trunk.training}])
    losses = [event.figures["loss"] for event in recorder.steps]
    assert losses[-1] < 0.5 * losses[0]
    assert recorder.ended
    assert outcome.steps == 60
    assert {"device", "precision", "length", "seed"} <= recorder.facts.keys()
    assert [event.step for event in recorder.steps] == list(range(5, 61, 5))
    assert {"lr", "weight_decay", "grad_norm", "spread", "images_per_second", "mse"} <= recorder.steps[0].figures.keys()
    assert [event.step for event in recorder.probes] == list(range(0, 61, 6))
    assert all(event.figures["mode"] == 0 for event in recorder.probes)
    assert objective.trunk.training
    assert objective.progress == sorted(objective.progress)
    assert objective.progress[-1] == 1.0


def test_figures_of_probes_are_told_by_probes_alone_and_outlive_an_interruption(tmp_path):
    probe = {"accuracy": 0.5}.copy
    recorder = Recorder(7 * 5, signal.SIGTERM)
    settings = FAST.model_copy(update={"num_probes": 1})
    with pytest.raises(InterruptedRunError):
        run(tmp_path, steps=40, recorder=recorder, settings=settings, probes=[lambda trunk: probe()])
    assert all("accuracy" not in event.figures for event in recorder.steps)
    assert [event.figures for event in recorder.probes] == [{"accuracy": 0.5}]
    whole, _, _ = run(tmp_path, steps=40, resume=True, settings=settings)
    assert whole.figures.keys() >= {"accuracy", "loss"}
    # A finished run that is resumed does nothing and tells the same.
    again, _, batches = run(tmp_path, steps=40, resume=True, settings=settings)
    assert batches.asked == []
    assert again.figures == whole.figures
    assert (again.steps, again.seconds) == (whole.steps, whole.seconds)


def test_updating_teachers_and_averages_counts_as_training(tmp_path):
    class Slow(ToyObjective):
        def after_step(self, progress):
            time.sleep(0.02)

    outcome, _, _ = run(tmp_path, steps=5, objective=Slow())
    assert outcome.seconds > 0.1


def test_accumulated_batches_are_one_gradient(tmp_path):
    settings = FAST.model_copy(update={"accumulate": 3})
    _, _, batches = run(tmp_path, steps=4, settings=settings)
    assert batches.asked[:12] == list(range(12))


def test_nan_names_the_step_and_leaves_the_good_checkpoint(tmp_path):
    with pytest.raises(InterruptedRunError):
        run(tmp_path, recorder=Recorder(10))
    good = (tmp_path / checkpoint.FILE_NAME).read_bytes()
    with pytest.raises(TrainingStoppedError, match=r"step 15 terms mse became nan .*single batch.*lower --engine.lr"):
        run(tmp_path, resume=True, objective=ToyObjective(poison_step=4))
    assert (tmp_path / checkpoint.FILE_NAME).read_bytes() == good


def test_collapse_stops(tmp_path):
    with pytest.raises(TrainingStoppedError, match="collapsed"):
        run(tmp_path, steps=220, objective=ToyObjective(collapsed=True))


def test_resume_without_checkpoint_and_with_other_settings(tmp_path):
    with pytest.raises(InputError, match="start without --resume"):
        run(tmp_path, resume=True)
    run(tmp_path, steps=5)
    with pytest.raises(InputError, match="seed was 3 and is now 4"):
        run(tmp_path, resume=True, details={"seed": "4"})
    (tmp_path / checkpoint.FILE_NAME).write_bytes(b"half")
    with pytest.raises(InputError, match="cannot be read"):
        run(tmp_path, resume=True)


def test_log_lines_of_repeated_steps_are_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    with pytest.raises(InterruptedRunError):
        run(tmp_path, recorder=Tee(JsonLines(path), Recorder(10)))
    path.write_text(path.read_text() + '{"event": "step", "step": 15}\n{"event": "st')
    run(tmp_path, resume=True, recorder=JsonLines(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"] == [5, 10, 15, 20, 25, 30]


class Tee:
    def __init__(self, *listeners):
        self._listeners = listeners

    def __getattr__(self, name):
        def call(*args):
            for listener in self._listeners:
                getattr(listener, name)(*args)

        return call


def test_minutes_end_a_run(tmp_path):
    engine = Engine(FAST, Minutes(0.005), tmp_path)
    outcome = engine.fit(ToyObjective(), ToyBatches(), resume=False)
    assert outcome.seconds >= 0.3
    assert outcome.steps > 0


def test_bf16_trains_too(tmp_path):
    recorder = Recorder()
    run(tmp_path, recorder=recorder, settings=FAST.model_copy(update={"precision": "bf16"}))
    assert "bf16-mixed" in recorder.facts["precision"]
    assert recorder.steps[-1].figures["loss"] < recorder.steps[0].figures["loss"]


def test_a_full_disk_leaves_no_part_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chiasm.core.tensors.save_file", full)
    with pytest.raises(InputError, match="disk is full"):
        run(tmp_path, steps=5)
    assert list(tmp_path.iterdir()) == []
