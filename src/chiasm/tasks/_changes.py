"""What is new, changed or broken in a source since its pictures were last looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source

# Enough to wait for disks side by side; the work itself releases the interpreter.
_NUM_THREADS = 8
# Sources may decode JPEG at a reduced size when little is asked for; every byte of the file is still read.
_GLANCE_SIDE_PX = 32


@dataclass(frozen=True, slots=True)
class Changes:
    """How a source differs from what was known of it.

    Attributes:
        digests: digest of each picture of the source, by key.
        added: positions in the source of pictures with unknown keys.
        changed: positions of pictures with known keys and other content.
        broken: keys of unreadable pictures among the new and changed ones, with the reason.
    """

    digests: dict[str, str]
    added: tuple[int, ...]
    changed: tuple[int, ...]
    broken: dict[str, str]


def find_changes(source: Source, known: Mapping[str, str]) -> Changes:
    """Compare a source with the digests known of it. Only pictures whose digest is not known are decoded.

    Args:
        source: keys must be unique.
        known: digest by key, as an earlier call returned them.
    """
    everything = range(len(source))
    keys = [source.key(index) for index in everything]
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        digests = list(pool.map(lambda index: content_digest(source, index), everything))
        fresh = [index for index in everything if known.get(keys[index]) != digests[index]]
        reasons = list(pool.map(lambda index: _reason_unreadable(source, index), fresh))
    broken = {keys[index]: reason for index, reason in zip(fresh, reasons, strict=True) if reason}
    readable = [index for index in fresh if keys[index] not in broken]
    return Changes(
        digests=dict(zip(keys, digests, strict=True)),
        added=tuple(index for index in readable if keys[index] not in known),
        changed=tuple(index for index in readable if keys[index] in known),
        broken=broken,
    )


def content_digest(source: Source, index: int) -> str:
    """A digest of one picture's content.

    Where the key is a file within the folder that the source is named after, its bytes are read and nothing is decoded;
    otherwise the pixels are read at the smallest size the source offers. Unreadable pictures have an empty digest.
    """
    path = Path(source.name) / source.key(index)
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, _new_digest).hexdigest()
        picture = source.read(index, _GLANCE_SIDE_PX).picture
    except (OSError, BrokenPictureError):
        # Whoever reads the picture next meets the same trouble and tells it.
        return ""
    digest = _new_digest()
    digest.update(repr(picture.shape).encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def _new_digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _reason_unreadable(source: Source, index: int) -> str | None:
    """Why a picture cannot be decoded; None when it can."""
    try:
        source.read(index, _GLANCE_SIDE_PX)
    except BrokenPictureError as error:
        return error.reason
    return None
