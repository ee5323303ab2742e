"""Writing that outlasts a crash: folders held by one process, remains swept, names flushed to the disk."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from chiasm.core import files
from chiasm.core.errors import InputError

HOLD = """
import sys, time
from pathlib import Path
from chiasm.core.files import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_until_its_holder_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="alone, but another process is"), files.held(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
    with files.held(tmp_path), pytest.raises(InputError, match="another process"), files.held(tmp_path):
        pass
    with files.held(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_where_a_file_system_locks_nothing_work_goes_on(tmp_path, monkeypatch):
    import fcntl

    def none(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", none)
    number = errno.ENOLCK
    with files.held(tmp_path):
        pass
    number = errno.EIO
    with pytest.raises(OSError, match="no locks here"), files.held(tmp_path):
        pass


def test_only_what_was_half_written_is_swept(tmp_path):
    remains = [".checkpoint.safetensors.0a1b2c3d.part", ".log.jsonl.ffffffff.part", ".tmpX1y2Z3"]
    others = ["log.jsonl", "checkpoint.safetensors", ".hidden", "my.part", ".tmp", ".x.0a1b2c3d.part.txt"]
    for name in (*remains, *others):
        (tmp_path / name).write_text("x")
    (tmp_path / ".folder.0a1b2c3d.part").mkdir()
    files.remove_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".folder.0a1b2c3d.part"}


def test_a_part_that_a_killed_process_left_is_of_the_swept_kind(tmp_path):
    with pytest.raises(KeyError), files.atomic_path(tmp_path / "a.b.json") as part:
        raise KeyError
    part.write_text("left")
    files.remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_flushed_before_the_name_changes_and_the_name_after_it(tmp_path, monkeypatch):
    events: list[str] = []
    flush, replace = os.fsync, files.Path.replace

    def watched_flush(handle):
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        flush(handle)

    def watched_replace(part, target):
        events.append("name")
        return replace(part, target)

    monkeypatch.setattr(os, "fsync", watched_flush)
    monkeypatch.setattr(files.Path, "replace", watched_replace)
    files.write_text(tmp_path / "x", "x")
    assert events == ["file", "name", "folder"]


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path, monkeypatch):
    flush = os.fsync

    def picky(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not here")
        flush(handle)

    monkeypatch.setattr(os, "fsync", picky)
    files.write_text(tmp_path / "x", "x")
    assert (tmp_path / "x").read_text() == "x"


def test_appending_tells_a_full_disk():
    with pytest.raises(InputError, match="room to write /dev/full, but the disk is full"):
        files.append_text(files.Path("/dev/full"), "x")
