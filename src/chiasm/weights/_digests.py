"""Digests of large files, told without reading them again as long as the file is the one that it was.

A digest is noted under what the file system says of the file: place, device, number, size, and the times of the last
change of its content and of anything about it. No program sets the latter, so another file under the old name shows.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.files import write_text
from chiasm.core.places import cache_folder
from chiasm.weights.stored import file_sha256

# A file that was changed a moment ago may be changed once more within one tick of the file system's clock.
_SETTLED_NS = 2_000_000_000


def noted_sha256(path: Path) -> str:
    """Digest of a file of weights, which is read only if that was not done before.

    Raises:
        InputError: it cannot be read.
    """
    try:
        found = path.stat()
    except OSError:
        # Told by who reads it.
        return file_sha256(path)
    identity = [str(path.resolve()), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    note = cache_folder() / "digests" / f"{name[:32]}.txt"
    if note.is_file():
        return note.read_text(encoding="ascii")
    digest = file_sha256(path)
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
        _keep(note, digest)
    return digest


def _keep(note: Path, digest: str) -> None:
    try:
        write_text(note, digest)
    except InputError:
        # Whoever has no place for notes reads the file again next time.
        return
