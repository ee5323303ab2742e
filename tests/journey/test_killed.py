"""Whatever ends a run, it goes on with the same bits: killed in the middle of each kind of writing, two at once."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import draw_pictures

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
