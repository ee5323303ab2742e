"""Decoding: bytes of a picture file in, upright 8 bit RGB out, or one error that says what is wrong with the file.

JPEG goes through `simplejpeg`, which scales while it decodes; PNG, WebP, GIF, BMP and TIFF through Pillow. The format
is told from the content, never from the file's name. Nothing here is lenient: a file that is cut off or damaged is
refused, not filled in, and a picture that is too large is refused from its header, before any pixel is decoded.

What is done with pictures that are not 8 bit RGB:
- transparency (alpha channel, transparent palette entry or colour) is laid on white;
- grey, 1 bit, palette, CMYK and YCbCr are converted; CMYK and YCCK JPEG are read as Adobe writes them (inverted);
- 16 bit grey maps 0 to 65535 linearly onto 0 to 255; 16 bit colour keeps the upper byte of each value;
- 32 bit integers and floats carry no agreed white. Values within 0 to 1 (floats) are multiplied by 255, values within 0
  to 255 are kept, integers within 0 to 65535 are read as 16 bit, anything else is stretched from its least to its
  greatest value;
- of an animation the first frame, of a multi-page TIFF the first page;
- the EXIF orientation is applied (JPEG, PNG, WebP, TIFF), then forgotten.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from chiasm.core.errors import BrokenPictureError
from chiasm.data.formats import RefusedError, Wish, reader_of

DEFAULT_MAX_PIXELS = 200_000_000
DEFAULT_MAX_BYTES = 1 << 30


def decode(
    data: bytes, key: str, min_side_px: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> UInt8[np.ndarray, "H W 3"]:
    """Decode one picture. May be called from many threads at once.

    Args:
        data: the whole file.
        key: what the picture is called, for the error.
        min_side_px: the shorter side that suffices. A JPEG whose half size (or quarter, eighth ...) still is at least
            that large is decoded at this size: the smallest n/8 up to 4/8 that suffices, else 8/8. The scales 5/8 to
            7/8 are left out because decoding at them takes longer than decoding in full.
        max_pixels: width times height above which a picture is refused.

    Returns:
        RGB, row 0 at the top, 0 to 255.

    Raises:
        BrokenPictureError: the bytes are no picture, are of a format that is not read, are damaged, incomplete or
            larger than allowed.
    """
    if not data:
        raise BrokenPictureError(key, "the file is empty")
    try:
        picture = reader_of(data)(data, Wish(min_side_px, max_pixels))
    except RefusedError as refused:
        raise BrokenPictureError(key, str(refused)) from None
    except Exception as error:
        # Foreign decoders answer damaged files with whatever exception they stumble on (struct.error, IndexError,
        # SyntaxError, zlib.error ...), so no narrower list holds; nothing of ours runs inside that could hide here.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BrokenPictureError(key, f"damaged or cut off: {reason}") from error
    return np.ascontiguousarray(picture)


def read_file(path: Path, key: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """The bytes of a picture file, to be decoded.

    Args:
        path: the file.
        key: what the picture is called in the error; its path when not given.
        max_bytes: file size above which a file is refused unread.

    Raises:
        BrokenPictureError: `path` is missing, unreadable, too large, or anything but a regular file.
    """
    key = str(path) if key is None else key
    try:
        return _read_regular(path, max_bytes)
    except RefusedError as refused:
        raise BrokenPictureError(key, str(refused)) from None
    except FileNotFoundError:
        reason = "the link leads nowhere" if path.is_symlink() else "no such file"
        raise BrokenPictureError(key, reason) from None
    except OSError as error:
        raise BrokenPictureError(key, f"it cannot be opened: {error.strerror}") from None
    except ValueError as error:
        raise BrokenPictureError(key, f"it cannot be opened: {error}") from None


def _read_regular(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file; pipes and devices are refused without being opened, so nothing can hang."""
    _check_regular(path.stat(), max_bytes)
    # Without O_NONBLOCK a pipe that takes the file's place between the two looks would hang the reader.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        _check_regular(os.fstat(handle), max_bytes)
        return file.read(max_bytes)


def _check_regular(status: os.stat_result, max_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise RefusedError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("it is not a regular file")
    if status.st_size > max_bytes:
        raise RefusedError(f"the file has {status.st_size} bytes, more than the {max_bytes} allowed")
