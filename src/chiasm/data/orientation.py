"""EXIF orientation: read the one tag that says how the camera was held, and turn the picture upright.

The tag is looked up by hand because that takes microseconds and no second pass over the picture. A malformed EXIF block
says nothing: the picture is taken as upright.

Differs: an orientation that stands only in XMP, or in a PNG's text chunks, is not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import UInt8

_ORIENTATION_TAG = 0x0112
_EXIF_PREFIX = b"Exif\0\0"
_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_WIDTH_OF_TYPE = {1: 1, 3: 2, 4: 4}

SEGMENT_SCAN = 0xDA
_SEGMENT_END = 0xD9
_SEGMENT_EXIF = 0xE1
_SEGMENTS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end (in bytes) of the content of each segment of a JPEG up to its first scan header."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _SEGMENTS_WITHOUT_LENGTH:
            position += 2
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            yield marker, position + 4, end
            if marker in (SEGMENT_SCAN, _SEGMENT_END):
                return
            position = end


def jpeg_orientation(data: bytes) -> int:
    """The orientation (1 to 8) that a JPEG's EXIF segment names; 1, upright, where there is none."""
    for marker, start, end in jpeg_segments(data):
        if marker == _SEGMENT_EXIF and data.startswith(_EXIF_PREFIX, start):
            return exif_orientation(data[start:end])
    return 1


def exif_orientation(exif: bytes) -> int:
    """The orientation (1 to 8) in an EXIF block, with or without its `Exif` prefix; 1 where there is none."""
    tiff = exif.removeprefix(_EXIF_PREFIX)
    order = _BYTE_ORDERS.get(tiff[:2])
    if order is None:
        return 1
    directory = int.from_bytes(tiff[4:8], order)
    num_entries = int.from_bytes(tiff[directory : directory + 2], order)
    for start in range(directory + 2, min(directory + 2 + 12 * num_entries, len(tiff) - 11), 12):
        if int.from_bytes(tiff[start : start + 2], order) == _ORIENTATION_TAG:
            width = _WIDTH_OF_TYPE.get(int.from_bytes(tiff[start + 2 : start + 4], order), 2)
            value = int.from_bytes(tiff[start + 8 : start + 8 + width], order)
            return value if 1 <= value <= 8 else 1
    return 1


def turn(picture: UInt8[np.ndarray, "H W 3"], orientation: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The upright picture (a view), given as stored.

    Args:
        picture: the pixels as they lie in the file.
        orientation: EXIF value, 1 to 8; 5 to 8 exchange height and width.
    """
    if orientation >= 5:
        picture = picture.swapaxes(0, 1)
    # What is left after the transposition is a mirroring of rows, of columns, or of both.
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return picture[::rows, ::columns]
