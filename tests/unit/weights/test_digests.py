"""Digests that are told without reading: only as long as the file is the one that it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chiasm.core.errors import InputError
from chiasm.weights import _digests
from chiasm.weights._digests import noted_sha256
from chiasm.weights.stored import file_sha256


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """Files that were read whole, as if all of them had been there for long."""
    found: list[Path] = []

    def read(path: Path) -> str:
        found.append(path)
        return file_sha256(path)

    monkeypatch.setattr(_digests, "file_sha256", read)
    monkeypatch.setattr(_digests, "_SETTLED_NS", -(10**12))
    return found


def test_a_file_is_read_once(tmp_path, reads, monkeypatch) -> None:
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert noted_sha256(file) == noted_sha256(file) == file_sha256(file)
    assert reads == [file]


def test_other_content_shows_even_with_the_old_time_and_size(tmp_path, reads, monkeypatch) -> None:
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first, before = noted_sha256(file), file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert noted_sha256(file) != first
    assert len(reads) == 2


def test_what_changed_a_moment_ago_is_not_noted(tmp_path, reads, monkeypatch) -> None:
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_digests, "_SETTLED_NS", 10**12)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    noted_sha256(file)
    noted_sha256(file)
    assert len(reads) == 2
    assert not (tmp_path / "cache").exists()


def test_without_a_place_for_notes_files_are_read_again(tmp_path, reads, monkeypatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert noted_sha256(file) == noted_sha256(file) == file_sha256(file)


def test_what_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(InputError, match="they cannot be read"):
        noted_sha256(tmp_path / "nothing")
