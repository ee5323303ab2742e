"""`Skipped`: the ledger of pictures that could not be read, and the line at which too many is too many.

One broken file must not end a night's run, and a run on a folder of broken files must not look like a success. Whoever
reads many pictures keeps a `Skipped`: it tells each one met (`seen`), each one broken (`broken`), asks now and then
whether to go on (`check`) and once at the end whether it was worth it (`finish`).
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError, WordlessPictureError

DEFAULT_MAX_SHARE = 0.1
DEFAULT_MIN_SEEN = 100


class Skipped:
    """Counts distinct pictures and writes down those that are passed over. May be used from many threads at once.

    Pictures about which nothing is said, where words are learned, are no broken ones: there may be any number of them,
    as long as there are others.

    Args:
        path: a file to which every distinct broken picture is appended at once as a JSON line `{key, reason}`; what
            an earlier run left there is kept and not repeated. None: nothing is written.
        max_share: the share of broken pictures (0 to 1) that is tolerated.
        min_seen: how many distinct pictures must have been met before `check` may end the run; a bad start of a good
            source is forgiven.
    """

    def __init__(
        self, path: Path | None = None, max_share: float = DEFAULT_MAX_SHARE, min_seen: int = DEFAULT_MIN_SEEN
    ) -> None:
        if not 0 <= max_share <= 1:
            raise InputError("a tolerated share of broken pictures from 0 to 1", f"{max_share} came", "change it")
        self._path = path
        self._max_share = max_share
        self._min_seen = min_seen
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._entries: dict[str, str] = {}
        self._wordless: set[str] = set()
        self._written = _keys_in(path) if path is not None else set()

    @property
    def count(self) -> int:
        """How many distinct pictures were passed over."""
        with self._lock:
            return len(self._entries)

    @property
    def listed(self) -> frozenset[str]:
        """Keys of all pictures on the list, with those that an earlier run wrote there."""
        with self._lock:
            return frozenset({*self._written, *self._entries})

    @property
    def num_seen(self) -> int:
        """How many distinct pictures were met, broken ones included."""
        with self._lock:
            return len(self._seen)

    @property
    def entries(self) -> tuple[tuple[str, str], ...]:
        """Key and reason of each picture that was passed over, in the order they were met."""
        with self._lock:
            return tuple(self._entries.items())

    def seen(self, key: str) -> None:
        """A picture was met; meeting it again (in the next epoch) changes nothing."""
        with self._lock:
            self._seen.add(key)

    def broken(self, error: BrokenPictureError) -> None:
        """A picture was met and found broken.

        Raises:
            InputError: the list cannot be written.
        """
        with self._lock:
            self._seen.add(error.key)
            if error.key in self._entries:
                return
            self._entries[error.key] = error.reason
            if isinstance(error, WordlessPictureError):
                self._wordless.add(error.key)
            if self._path is not None and error.key not in self._written:
                _append(self._path, {"key": error.key, "reason": error.reason})
                self._written.add(error.key)

    def check(self, num_pictures: int | None = None) -> None:
        """Ask whether to go on; cheap enough for every batch.

        Args:
            num_pictures: how many the source holds, for those who go round it for ever and never come to `finish`: once
                all were met, that is enough, however few they are.

        Raises:
            TooManyBrokenError: enough pictures were met, and more than the tolerated share of them was broken.
        """
        enough = self._min_seen if num_pictures is None else min(self._min_seen, num_pictures)
        with self._lock:
            if len(self._seen) >= enough:
                self._judge()

    def finish(self) -> None:
        """Judge the whole source (at the end of a pass), however few pictures it holds.

        Raises:
            TooManyBrokenError: more than the tolerated share of the pictures met was broken, or every single one; or
                nothing is said about any of them.
        """
        with self._lock:
            self._judge()
            if self._wordless and len(self._entries) == len(self._seen):
                raise _nothing_said(self._entries)

    def _judge(self) -> None:
        num_seen, num_broken = len(self._seen), len(self._entries) - len(self._wordless)
        none_readable = num_broken == num_seen
        if num_broken == 0 or not (none_readable or num_broken > self._max_share * num_seen):
            return
        key, reason = next((key, reason) for key, reason in self._entries.items() if key not in self._wordless)
        expected = (
            "at least one readable picture"
            if none_readable
            else f"readable pictures, at most {self._max_share:.0%} of them broken"
        )
        where = f" (all are listed in {self._path})" if self._path is not None else ""
        raise TooManyBrokenError(
            expected,
            f"{num_broken} of {num_seen} cannot be read (the first is {key}: {reason})",
            f"repair or remove them{where}, or look whether this is the right source",
        )


def _nothing_said(entries: dict[str, str]) -> TooManyBrokenError:
    key, reason = next(iter(entries.items()))
    return TooManyBrokenError(
        "pictures with the texts that are learned from",
        f"none of {len(entries)} is usable (the first is {key}: {reason})",
        "add texts, or leave out what learns from them",
    )


def _keys_in(path: Path) -> set[str]:
    """Keys that an earlier run wrote down; lines that a crash left half-written are passed over."""
    keys: set[str] = set()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return keys
    except OSError as error:
        raise _unwritable(path, error) from None
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("key"), str):
            keys.add(entry["key"])
    return keys


def _append(path: Path, entry: dict[str, str]) -> None:
    # File names that are no valid Unicode come as lone surrogates; backslashreplace turns them into JSON's own escapes.
    line = json.dumps(entry, ensure_ascii=False).encode("utf-8", errors="backslashreplace") + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, 2)
                # A line that a crash cut off must not swallow the next one.
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"a place that can be written at {path}", f"it cannot ({error.strerror})", "choose another place for the list"
    )
