"""The folder of a run: never overwritten, never left half-made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.files import check_new_folder
from chiasm.engine.checkpoint import FILE_NAME


def check_run_folder(out: Path, resume: bool) -> None:
    """Refuse to write into a folder that holds something else.

    Raises:
        InputError: `out` is a file, or holds something although `resume` was not asked for, or nothing to resume.
    """
    if not resume:
        on = ", or go on with what is there by --resume" if (out / FILE_NAME).exists() else ""
        check_new_folder(out, f"choose another --out{on}")
    elif not (out / FILE_NAME).exists():
        raise InputError(f"a checkpoint in {out}", "there is none", "start without --resume")


@contextmanager
def run_folder(out: Path, resume: bool) -> Iterator[None]:
    """Within this, a run may write to its folder; what is of no use to anybody is removed when it fails.

    A run that stopped because of its settings or a full disk, or was stopped twice, and that left no checkpoint can
    neither be resumed nor told from its log. Runs that diverged or met too many broken pictures are kept: their logs
    say why.

    Raises:
        InputError: as `check_run_folder`.
    """
    check_run_folder(out, resume)
    was_there = out.exists()
    try:
        yield
    except (InputError, OSError, KeyboardInterrupt):
        if not resume and out.is_dir() and not (out / FILE_NAME).exists():
            _empty(out)
            if not was_there:
                out.rmdir()
        raise


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
