"""What a source holds, told by content: which contents are new, where each of them lies, what is broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source

# Enough to wait for disks side by side; the work itself releases the interpreter.
_NUM_THREADS = 8
# Sources may decode JPEG at a reduced size when little is asked for; every byte of the file is still read.
_GLANCE_SIDE_PX = 32


@dataclass(frozen=True, slots=True)
class Contents:
    """What a source holds.

    Attributes:
        keys: of the readable pictures with each digest, in the source's order.
        fresh: position in the source of the first picture of each content that was not known.
        broken: keys of unreadable pictures, with the reason.
    """

    keys: dict[str, tuple[str, ...]]
    fresh: tuple[int, ...]
    broken: dict[str, str]


def find_contents(source: Source, known: Collection[str] = ()) -> Contents:
    """Look at every picture of a source. Only contents whose digest is not known are decoded, each of them once.

    Args:
        source: keys must be unique.
        known: digests of contents that were found readable before.
    """
    claimed: dict[str, int] = {}

    def look(index: int) -> _Look:
        digest = ""
        try:
            digest = source.digest(index)
            # One step also among threads: the first to come decodes, and the others rely on it.
            if digest not in known and claimed.setdefault(digest, index) == index:
                source.read(index, _GLANCE_SIDE_PX)
        except BrokenPictureError as error:
            return _Look(digest, error.reason)
        return _Look(digest)

    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        looks = list(pool.map(look, range(len(source))))
    unreadable = {one.digest: one.trouble for one in looks if one.digest and one.trouble}
    keys: defaultdict[str, list[str]] = defaultdict(list)
    fresh: list[int] = []
    broken: dict[str, str] = {}
    for index, one in enumerate(looks):
        trouble = one.trouble or unreadable.get(one.digest)
        if trouble:
            broken[source.key(index)] = trouble
            continue
        if one.digest not in known and one.digest not in keys:
            fresh.append(index)
        keys[one.digest].append(source.key(index))
    return Contents({digest: tuple(places) for digest, places in keys.items()}, tuple(fresh), broken)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at one picture showed: its digest (empty where that cannot be told) and what is wrong with it."""

    digest: str
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """How many pictures are where they were before.

    Attributes:
        added: new ones, copies of known ones included.
        changed: those with another content at the same place.
        moved: those with a known content at a new place, while a place where it was is left.
        removed: those that are gone.
        unchanged: those with the same content at the same place.
    """

    added: int
    changed: int
    moved: int
    removed: int
    unchanged: int


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> Moves:
    """What happened between two states of a source, each given as digest by key."""
    came = Counter(digest for key, digest in after.items() if key not in before)
    went = Counter(digest for key, digest in before.items() if key not in after)
    moved = (came & went).total()
    unchanged = sum(after.get(key) == digest for key, digest in before.items())
    return Moves(
        added=came.total() - moved,
        changed=len(after.keys() & before.keys()) - unchanged,
        moved=moved,
        removed=went.total() - moved,
        unchanged=unchanged,
    )


def by_key(contents: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Digest by key from keys by digest."""
    return {key: digest for digest, keys in contents.items() for key in keys}
