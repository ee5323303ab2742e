"""Kill -9 at random moments, and a disk that is full: is anything lost?

    python benchmarks/kill.py [--method simclr] [--kills 30] [--steps 120] [--seed 0]

One run of the real command is left alone. Others, of the same settings, are killed (SIGKILL) at random moments, while
they start or after some steps more, started again by `--resume`, and so on until they end; there are as many of them as
the number of kills needs. Checkpoints are written after every step, so that many kills hit the writing of one. The data
is a folder of pictures of the embedded world with a few broken ones among them.

Every run that was killed must end with the same bits in `model.safetensors` as the one that was left alone, a log that
tells each step once with the same figures, the same list of broken pictures, and no temporary file. Last, a run writes
to a disk (a tmpfs in a mount namespace of its own, where the system allows that) that is full before its end: it must
say so in one line with exit code 2, keep a checkpoint, and end with the same bits once it is resumed with room.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image

NUM_PICTURES, NUM_BROKEN = 150, 5
START = "from chiasm.surfaces.cli import main; main()"
TIMED = ("seconds", "images_per_second", "waiting_for_data")
"""Figures that no two runs share."""


class Command:
    """The command of one method, to be run into any folder."""

    def __init__(self, method: str, data: Path, steps: int) -> None:
        self._words = [sys.executable, "-c", START, "train", method, "--data", str(data)]
        settings = {
            "--steps": steps,
            "--trunk.embed-dim": 48,
            "--trunk.depth": 2,
            "--trunk.num-heads": 3,
            "--engine.batch-size": 16,
            "--engine.num-probes": 4,
            "--engine.log-every": 1,
            "--engine.checkpoint-minutes": 1e-6,
            "--engine.accelerator": "cpu",
        }
        self._words += [str(word) for pair in settings.items() for word in pair]
        self._env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def words(self, out: Path, resume: bool) -> list[str]:
        return [*self._words, "--out", str(out), *(["--resume"] if resume else [])]

    def start(self, words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self._env)


def draw(folder: Path) -> Path:
    """Pictures of the world in class folders, some of them broken."""
    from chiasm.data.open import open_source

    source = open_source("world:train?size=32")
    for index in range(NUM_PICTURES):
        label = source.label(index)
        home = folder / source.classes[label or 0]
        home.mkdir(parents=True, exist_ok=True)
        path = home / f"{index:04d}.png"
        Image.fromarray(source.read(index).picture).save(path)
        if index % (NUM_PICTURES // NUM_BROKEN) == 7:
            path.write_bytes(path.read_bytes()[:60])
    return folder


def left_alone(command: Command, out: Path) -> float:
    """Run without disturbing; returns how many seconds it took."""
    began = time.monotonic()
    process = command.start(command.words(out, resume=False))
    _, told = process.communicate()
    if process.returncode:
        sys.exit(f"the run that was left alone failed:\n{told}")
    return time.monotonic() - began


def killed(command: Command, out: Path, steps: int, kills: int, moments: random.Random) -> Counter[str]:
    """Run, kill and resume until the run ends or enough was killed; then it is left alone to its end.

    Returns:
        What each kill hit.
    """
    hit: Counter[str] = Counter()
    while True:
        # What whoever was killed would type; also where nothing but the folder is there.
        resume = out.exists()
        process = command.start(command.words(out, resume))
        if hit.total() < kills and wait_a_while(process, out, steps, moments):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            hit[stage(out)] += 1
            continue
        _, told = process.communicate()
        if process.returncode:
            sys.exit(f"started with {'--resume' if resume else 'no --resume'} it failed:\n{told}")
        return hit


def wait_a_while(process: subprocess.Popen[str], out: Path, steps: int, moments: random.Random) -> bool:
    """Wait for a random moment: the first and one in five are while the process starts, the others some steps later.

    Returns:
        Whether the process is still there.
    """
    starting = not out.exists() or moments.random() < 0.2
    more_steps = 0 if starting else moments.randint(1, steps // 8)
    goal = num_lines(out) + more_steps
    while process.poll() is None and num_lines(out) < goal:
        time.sleep(0.002)
    time.sleep(moments.uniform(0, 6.0 if starting else 0.1))
    return process.poll() is None


def num_lines(out: Path) -> int:
    path = out / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def stage(out: Path) -> str:
    """What a kill hit, told from what lies there."""
    names = [path.name for path in out.iterdir()] if out.exists() else []
    if any(name.startswith(".checkpoint") for name in names):
        return "writing a checkpoint"
    if any(name.endswith(".part") for name in names):
        return "writing another file"
    if "config.json" in names:
        return "after the model was written"
    if "checkpoint.safetensors" in names:
        return "with a checkpoint, starting or training"
    return "before the first checkpoint"


def faults(out: Path, reference: Path) -> list[str]:
    """What differs from the run that was left alone."""
    found = []
    if digest(out / "model.safetensors") != digest(reference / "model.safetensors"):
        found.append("model.safetensors has other bits")
    for kind in ("step", "probe"):
        if lines(out, kind) != lines(reference, kind):
            found.append(f"log.jsonl tells other {kind}s")
    if broken(out) != broken(reference):
        found.append("skipped.jsonl lists other pictures")
    if {path.name for path in out.iterdir()} != {path.name for path in reference.iterdir()}:
        found.append(f"other files lie there: {sorted(path.name for path in out.iterdir())}")
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lines(out: Path, kind: str) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    told = [event for event in events if event["event"] == kind]
    return [{name: value for name, value in event.items() if name not in TIMED} for event in told]


def broken(out: Path) -> list[str]:
    return sorted((out / "skipped.jsonl").read_text().splitlines())


def full_disk(command: Command, folder: Path, reference: Path) -> str:
    """Run on a disk with room for one checkpoint and a half; returns the verdict in words."""
    small, kept = folder / "small", folder / "kept"
    small.mkdir()
    num_bytes = int(1.5 * (reference / "checkpoint.safetensors").stat().st_size)
    run = shlex.join(command.words(small / "run", resume=False))
    script = (
        f"mount -t tmpfs -o size={num_bytes} tmpfs {small} || exit 77; {run}; code=$?; cp -r {small}/run {kept}; "
        "exit $code"
    )
    if shutil.which("unshare") is None:
        return "not tried: no unshare here"
    process = command.start(["unshare", "-rm", "sh", "-c", script])
    _, told = process.communicate()
    if process.returncode in (1, 77):
        return f"not tried: no file system can be mounted here ({told.strip()[-200:]})"
    last = told.strip().splitlines()[-1]
    if process.returncode != 2 or "disk is full" not in last:
        return f"WRONG: exit code {process.returncode}, {last}"
    resumed = command.start(command.words(kept, resume=True))
    _, told_then = resumed.communicate()
    if resumed.returncode:
        return f"WRONG: resuming with room failed: {told_then.strip().splitlines()[-1]}"
    wrong = [fault for fault in faults(kept, reference) if not fault.startswith("other files")]
    return f"exit code 2, {last!r}; resumed with room: {'; '.join(wrong) or 'the same bits'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="simclr")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = Command(asked.method, draw(folder / "pictures"), asked.steps)
        reference = folder / "left alone"
        seconds = left_alone(command, reference)
        print(f"{asked.method}: {asked.steps} steps, left alone {seconds:.1f} s", flush=True)
        moments = random.Random(asked.seed)
        hit: Counter[str] = Counter()
        num_runs, wrong = 0, 0
        while hit.total() < asked.kills:
            out = folder / f"killed {num_runs}"
            here = killed(command, out, asked.steps, asked.kills - hit.total(), moments)
            found = faults(out, reference)
            num_runs, wrong, hit = num_runs + 1, wrong + bool(found), hit + here
            print(f"run {num_runs}: killed {here.total()} times, {'; '.join(found) or 'the same bits'}", flush=True)
        print(f"{hit.total()} kills in {num_runs} runs, {wrong} of which ended otherwise; they hit:")
        for what, times in hit.most_common():
            print(f"  {times:3d}  {what}")
        print(f"full disk: {full_disk(command, folder, reference)}")
        sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
