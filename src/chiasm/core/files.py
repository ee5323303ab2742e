"""Writing files so that nothing half-written is ever seen."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chiasm.core.errors import InputError

# Ours, and the name under which safetensors writes before it takes the place of the file that it was given.
_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part|\.tmp[0-9A-Za-z]{6}")


def expanded(text: str) -> Path:
    """The path that a person wrote, with `~` and `~name` read as home folders, as also after `--out=`.

    Raises:
        InputError: the text is empty (a shell variable that was not set), or nobody of that name has a home here.
    """
    if not text.strip():
        raise InputError("a path", "an empty text came", "name one")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        home = Path(text).parts[0]
        raise InputError("the home folder of somebody", f"there is none for {home}", "write the path in full") from None


def is_there(path: Path) -> bool:
    """Whether a path leads to something; a text too long for a name, such as a list of words, leads nowhere."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends well, and vanishes when it does not.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    part = _part_of(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        rights = part.stat().st_mode
    try:
        with _explained(path):
            yield part
            # Some libraries put a file of their own, for its owner's eyes only, in the place of the one they are given.
            part.chmod(rights)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
            _settle(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that becomes `path` when the block ends well, and vanishes otherwise.

    A folder is never replaced: no file system exchanges two folders in one step everywhere, so a crash could leave
    neither.

    Raises:
        InputError: `path` exists and is no empty folder, the disk is full or the place cannot be written.
    """
    check_new_folder(path)
    part = _part_of(path)
    with _explained(path):
        part.mkdir(parents=True)
    try:
        with _explained(path):
            yield part
            part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_new_folder(path: Path, do: str = "choose another place") -> None:
    """Refuse a place for a new folder where something is already; `do` says in the error what to do instead.

    Raises:
        InputError: `path` is a file or a folder that holds something.
    """
    if path.exists() and not path.is_dir():
        raise InputError("a folder to write to", f"{path} is a file", "choose another place")
    if path.is_dir() and any(path.iterdir()):
        raise InputError("an empty or new folder", f"{path} is not empty", do)


def remove_parts(folder: Path) -> None:
    """Remove what `atomic_path` had begun to write in a folder when its process was killed.

    Only for whoever alone writes there: what another process is writing goes too.
    """
    for path in folder.iterdir():
        if _PART.fullmatch(path.name) and path.is_file():
            path.unlink()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a folder to this process within the block.

    The operating system keeps the lock and lets go of it however the process ends, so nothing is left to clear up after
    a crash. Where a file system locks no folders (some network shares) or the system has no such locks (Windows), two
    processes are not told apart.

    Raises:
        InputError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            do = "wait until it ends, or choose another place"
            raise InputError(f"{folder} for this run alone", "another process is writing to it", do) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Lone surrogates (bytes of file names that are no UTF-8) become backslash escapes, which in JSON are its own.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def append_text(path: Path, text: str) -> None:
    """Add to the end of a text file, which is made if it is not there.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with _explained(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented, with a final newline.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: Path, what: str) -> str:
    """Read a text file in UTF-8.

    Raises:
        InputError: the file is missing, cannot be read or is no text; `what` names it in the message.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{what} at {path}", "no such file exists", "check the path") from None
    except OSError as error:
        raise InputError(f"{what} at {path}", f"it cannot be read ({error.strerror})", "check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"text in {path}", f"it cannot be read as UTF-8 ({error})", "repair or remove it") from None


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON; `what` names it in the message.
    """
    try:
        return json.loads(read_text(path, what))
    except json.JSONDecodeError as error:
        raise InputError(f"JSON in {path}", f"it cannot be parsed ({error})", "repair or remove the file") from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"room to write {path}", "the disk is full", "free some space or choose another place"
            ) from None
        if error.errno is None:
            raise
        raise InputError(
            f"a place that can be written at {path}", f"it cannot ({error.strerror})", "choose another place"
        ) from None


def _part_of(path: Path) -> Path:
    """A name of its own beside `path`; made with plain calls, so that the file gets the rights that any other would."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _settle(folder: Path) -> None:
    """Make a change of names in a folder outlast a power cut, where folders can be opened and flushed at all."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise
    finally:
        os.close(handle)


_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_NO_FLUSH = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS)
