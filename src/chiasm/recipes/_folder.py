"""The folder of a run: never overwritten, never left half-made."""

from __future__ import annotations

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
        check_new_folder(out, "choose another --out, or go on with what is there by --resume")
    elif not (out / FILE_NAME).exists():
        raise InputError(f"a checkpoint in {out}", "there is none", "start without --resume")
