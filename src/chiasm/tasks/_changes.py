"""What is new, changed or broken in a source since its pictures were last looked at."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
        digests: digest of each readable picture of the source, by key.
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
        looks = list(pool.map(lambda index: _look(source, index, known.get(keys[index])), everything))
    fresh = [index for index in everything if looks[index].digest != known.get(keys[index])]
    return Changes(
        digests={key: look.digest for key, look in zip(keys, looks, strict=True) if look.digest is not None},
        added=tuple(index for index in fresh if looks[index].digest is not None and keys[index] not in known),
        changed=tuple(index for index in fresh if looks[index].digest is not None and keys[index] in known),
        broken={key: look.trouble for key, look in zip(keys, looks, strict=True) if look.trouble is not None},
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at one picture showed: a digest, or why it is unreadable."""

    digest: str | None = None
    trouble: str | None = None


def _look(source: Source, index: int, known: str | None) -> _Look:
    """Tell a picture's digest, and whether it can be decoded where that is not known."""
    try:
        digest = source.digest(index)
        if digest != known:
            source.read(index, _GLANCE_SIDE_PX)
    except BrokenPictureError as error:
        return _Look(trouble=error.reason)
    return _Look(digest=digest)
