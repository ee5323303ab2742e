"""Runs that are killed at chosen moments, as a script; each attempt is a fork of a process that has imported all.

    python killed.py PICTURES OUT MOMENT:NUMBER ... [-- OUT MOMENT:NUMBER ...] ...

For every moment the run is started, goes on with what the attempt before left, and ends by SIGKILL when the moment
comes for the given time. A last attempt is left alone. Moments are `during NAME` (a file of tensors is written under
the name that safetensors gives it), `half NAME` (half of it is there, under ours), `before NAME` and `after NAME` (a
finished file takes its place) and `line` (a line of the log was written).
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from chiasm.core import files, tensors
from chiasm.data.open import open_source
from chiasm.engine import logs
from chiasm.engine.settings import Settings
from chiasm.recipes.simclr import simclr
from chiasm.trunks import vit

NUM_STEPS = 8


class Killer:
    """Ends this process when a moment comes for the n-th time."""

    def __init__(self, moment: str, number: int) -> None:
        self._moment, self._number = moment, number
        self._met: Counter[str] = Counter()

    def __call__(self, moment: str) -> None:
        self._met[moment] += 1
        if moment == self._moment and self._met[moment] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_next(self, moment: str) -> bool:
        return (self._moment, self._met[moment] + 1) == (moment, self._number)

    def lie_in_wait(self) -> None:
        """Be told of every moment."""
        killer = self
        save, replace, append = tensors.save_file, Path.replace, files.append_text

        def watched_save(values: Any, part: Path, metadata: Any) -> None:
            name = part.name.split(".", 1)[1].rsplit(".", 2)[0]
            if self._is_next(f"during {name}"):
                save(values, part.with_name(".tmpX1y2Z3"), metadata)
            self(f"during {name}")
            save(values, part, metadata)
            if self._is_next(f"half {name}"):
                os.truncate(part, part.stat().st_size // 2)
            self(f"half {name}")

        def watched_replace(self: Path, target: Any) -> Path:
            killer(f"before {target.name}")
            done = replace(self, target)
            killer(f"after {target.name}")
            return done

        def watched_append(path: Path, text: str) -> None:
            append(path, text)
            self("line")

        tensors.save_file, logs.append_text = watched_save, watched_append
        Path.replace = watched_replace


def train(pictures: str, out: Path) -> None:
    simclr(
        open_source(pictures),
        out,
        trunk=vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2),
        engine=Settings(batch_size=8, num_probes=2, log_every=1, checkpoint_minutes=1e-9, accelerator="cpu"),
        steps=NUM_STEPS,
        resume=(out / "log.jsonl").exists(),
    )


def attempt(work: Callable[[], None], moment: str, number: int) -> int:
    """Do the work in a process of its own; returns its exit code, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        Killer(moment, number).lie_in_wait()
        work()
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    pictures, *words = sys.argv[1:]
    # What is slow to import is imported once; threads would not outlive a fork.
    torch.set_num_threads(1)
    print(Fabric.__name__)
    while words:
        end = words.index("--") if "--" in words else len(words)
        out, *moments = words[:end]
        words = words[end + 1 :]
        for spelled in (*moments, "never:1"):
            moment, number = spelled.split(":")
            code = attempt(partial(train, pictures, Path(out)), moment, int(number))
            if code != (0 if moment == "never" else -signal.SIGKILL):
                sys.exit(f"{out} at {spelled} ended with {code}")


if __name__ == "__main__":
    main()
