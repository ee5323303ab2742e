"""The folder of a run: never overwritten, never left half-made, never shared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.files import check_new_folder, held, remove_parts
from chiasm.engine.checkpoint import FILE_NAME

LOG, SKIPPED, CHARTS = "log.jsonl", "skipped.jsonl", "tensorboard"


def begun(out: Path) -> bool:
    """Whether a folder holds a run to go on with: one with a checkpoint, or one that was killed before its first."""
    return (out / FILE_NAME).exists() or (out.is_dir() and _holds_only_logs(out))


def logged_length(out: Path) -> str | None:
    """The length that a run without a checkpoint was started with, in the words of its budget, or None."""
    if not (out / LOG).is_file():
        return None
    first = (out / LOG).read_text(encoding="utf-8").partition("\n")[0]
    try:
        return json.loads(first)["length"]
    except (ValueError, KeyError):
        # Killed while it wrote that line.
        return None


def check_run_folder(out: Path, resume: bool) -> None:
    """Refuse to write into a folder that holds something else.

    A run that was killed before its first checkpoint leaves nothing but its logs; there, resuming begins it again.

    Raises:
        InputError: `out` is a file, or holds something although `resume` was not asked for, or nothing to resume.
    """
    if not resume:
        on = ", or go on with what is there by --resume" if begun(out) else ""
        check_new_folder(out, f"choose another --out{on}")
    elif not begun(out):
        raise InputError(f"a checkpoint in {out}", "there is none", "start without --resume")


@contextmanager
def run_folder(out: Path, resume: bool) -> Iterator[bool]:
    """Within this, a run alone may write to its folder; what is of no use to anybody is removed when it fails.

    A run that stopped because of its settings or a full disk, or was stopped twice, and that left no checkpoint can
    neither be resumed nor told from its log. Runs that diverged or met too many broken pictures are kept: their logs
    say why.

    Yields:
        Whether there is a checkpoint to go on from.

    Raises:
        InputError: as `check_run_folder`, or another process writes there.
    """
    check_run_folder(out, resume)
    was_there = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    with held(out):
        # Once more, as another run may have ended here since.
        check_run_folder(out, resume)
        remove_parts(out)
        try:
            yield (out / FILE_NAME).exists()
        except (InputError, OSError, KeyboardInterrupt):
            if not resume and out.is_dir() and not (out / FILE_NAME).exists():
                _empty(out)
                if not was_there:
                    out.rmdir()
            raise


def _holds_only_logs(folder: Path) -> bool:
    """Whether a folder holds nothing but the log of a run and what goes with it; it may not have come to that."""
    return all(path.name in (LOG, SKIPPED, CHARTS) or path.name.startswith(".") for path in folder.iterdir())


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
