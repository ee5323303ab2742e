"""The folder of a run: never overwritten, never left half-made."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.engine.checkpoint import FILE_NAME


def check_run_folder(out: Path, resume: bool) -> None:
    """Refuse to write into a folder that holds something else.

    Raises:
        InputError: `out` is a file, or holds something although `resume` was not asked for, or nothing to resume.
    """
    if out.exists() and not out.is_dir():
        raise InputError("a folder to write to", f"{out} is a file", "choose another --out")
    if resume:
        if not (out / FILE_NAME).exists():
            raise InputError(f"a checkpoint in {out}", "there is none", "start without --resume")
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(
            "an empty or new folder",
            f"{out} is not empty",
            "choose another --out, or go on with what is there by --resume",
        )
