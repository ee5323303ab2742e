"""How the bytes of each picture format become RGB; `data.decode` is the way in and states the rules."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from chiasm.data.orientation import SEGMENT_SCAN, exif_orientation, jpeg_orientation, jpeg_segments, turn
from chiasm.data.rgb import to_rgb

# Pillow remarks on odd metadata (a TIFF tag with too many entries, a broken animation index), which is no concern of
# somebody who wants pixels. `warnings.catch_warnings` is not safe with threads, so this is said once, for these files.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.(Tiff|Png)ImagePlugin")


class RefusedError(Exception):
    """A reason, on its way to the `BrokenPictureError` that adds the key."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller of `decode` asked for."""

    min_side_px: int | None
    max_pixels: int


Reader = Callable[[bytes, Wish], UInt8[np.ndarray, "H W 3"]]


def reader_of(data: bytes) -> Reader:
    """Who reads these bytes, judged by their first few."""
    for offset, magic, reader in _READERS:
        if data.startswith(magic, offset):
            return reader
    for offset, magic, name in _KNOWN_BUT_NOT_READ:
        if data.startswith(magic, offset):
            raise RefusedError(f"{name} is a format that is not read")
    raise RefusedError("the content is no picture")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise RefusedError(f"it has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise RefusedError(f"{width} x {height} pixels are more than the {max_pixels} allowed")


def _read_jpeg(data: bytes, wish: Wish) -> UInt8[np.ndarray, "H W 3"]:
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError:
        # Either no JPEG after all, or one whose colour subsampling TurboJPEG has no name for; Pillow can tell.
        picture = _read_with_pillow(JpegImagePlugin.JpegImageFile, data, wish.max_pixels)
    else:
        _check_size(int(width), int(height), wish.max_pixels)
        if colours in ("CMYK", "YCCK"):
            inks = _scaled_jpeg(data, "CMYK", wish.min_side_px).astype(np.uint16)
            picture = np.rint(inks[..., :3] * inks[..., 3:] / np.float32(255)).astype(np.uint8)
        else:
            picture = _scaled_jpeg(data, "RGB", wish.min_side_px)
    return turn(picture, jpeg_orientation(data))


def _scaled_jpeg(data: bytes, colours: str, min_side_px: int | None) -> UInt8[np.ndarray, "H W C"]:
    # TurboJPEG takes the smallest scale that reaches the least height and width and shrinks at least by the factor;
    # when none does, it decodes in full.
    least = 0 if min_side_px is None else max(min_side_px, 1)
    factor = 2.0 if least else 1.0
    try:
        return simplejpeg.decode_jpeg(data, colours, min_height=least, min_width=least, min_factor=factor)
    except ValueError as error:
        if _BAD_SCAN_HEADER not in str(error):
            raise
        mended = _with_plain_scan_header(data)
        return simplejpeg.decode_jpeg(mended, colours, min_height=least, min_width=least, min_factor=factor)


def _with_plain_scan_header(data: bytes) -> bytes:
    """The JPEG with the scan header that a file without progression must have.

    Some cameras leave the numbers meant for progressive files there. They say nothing in a plain file, but reading them
    leniently would let damage in the pixels pass as well.
    """
    for marker, _, end in jpeg_segments(data):
        if marker == SEGMENT_SCAN:
            return data[: end - 3] + _PLAIN_SCAN + data[end:]
    return data


def _read_png(data: bytes, wish: Wish) -> UInt8[np.ndarray, "H W 3"]:
    _check_png_chunks(data)
    return _read_exif_turned(PngImagePlugin.PngImageFile, data, wish.max_pixels)


def _check_png_chunks(data: bytes) -> None:
    """Compare every checksum up to the end mark: Pillow skips those of the pixels."""
    position = len(_PNG_MAGIC)
    view = memoryview(data)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[position + 4 : end]) != checksum:
            raise RefusedError("damaged: a checksum of the PNG is wrong")
        if data[position + 4 : position + 8] == b"IEND":
            return
        position = end + 4
    raise RefusedError("cut off: the PNG has no end")


def _read_webp(data: bytes, wish: Wish) -> UInt8[np.ndarray, "H W 3"]:
    # The WebP decoder sets memory aside for the picture as soon as it is opened, so the header is read here first.
    size = _webp_size(data)
    if size is None:
        raise RefusedError("damaged or cut off: the WebP has no readable header")
    _check_size(*size, wish.max_pixels)
    return _read_exif_turned(WebPImagePlugin.WebPImageFile, data, wish.max_pixels)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a WebP header announces."""
    kind, header = data[12:16], data[20:30]
    if len(header) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(header[4:7], "little") + 1, int.from_bytes(header[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(header[6:8], "little") & 0x3FFF, int.from_bytes(header[8:10], "little") & 0x3FFF
    return None


def _read_gif(data: bytes, wish: Wish) -> UInt8[np.ndarray, "H W 3"]:
    return _read_with_pillow(GifImagePlugin.GifImageFile, data, wish.max_pixels)


def _read_bmp(data: bytes, wish: Wish) -> UInt8[np.ndarray, "H W 3"]:
    return _read_with_pillow(BmpImagePlugin.BmpImageFile, data, wish.max_pixels)


def _read_tiff(data: bytes, wish: Wish) -> UInt8[np.ndarray, "H W 3"]:
    # Pillow turns a TIFF upright by itself.
    return _read_with_pillow(TiffImagePlugin.TiffImageFile, data, wish.max_pixels)


def _read_exif_turned(opener: type[ImageFile.ImageFile], data: bytes, max_pixels: int) -> UInt8[np.ndarray, "H W 3"]:
    image = _open_with_pillow(opener, data, max_pixels)
    picture = to_rgb(image)
    # Asked for after the pixels: a PNG may carry its EXIF block behind them.
    return turn(picture, exif_orientation(image.info.get("exif", b"")))


def _read_with_pillow(opener: type[ImageFile.ImageFile], data: bytes, max_pixels: int) -> UInt8[np.ndarray, "H W 3"]:
    return to_rgb(_open_with_pillow(opener, data, max_pixels))


def _open_with_pillow(opener: type[ImageFile.ImageFile], data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    # The format's own class, not `Image.open`: that one tries other formats too, and answers large pictures with a
    # process-wide limit and a warning.
    image = opener(io.BytesIO(data))
    _check_size(*image.size, max_pixels)
    image.load()
    return image


_BAD_SCAN_HEADER = "Invalid SOS parameters for sequential JPEG"
_PLAIN_SCAN = bytes((0, 63, 0))
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

_READERS: tuple[tuple[int, bytes, Reader], ...] = (
    (0, b"\xff\xd8\xff", _read_jpeg),
    (0, _PNG_MAGIC, _read_png),
    (8, b"WEBP", _read_webp),
    (0, b"GIF87a", _read_gif),
    (0, b"GIF89a", _read_gif),
    (0, b"BM", _read_bmp),
    (0, b"II*\0", _read_tiff),
    (0, b"MM\0*", _read_tiff),
    (0, b"II+\0", _read_tiff),
    (0, b"MM\0+", _read_tiff),
)

_KNOWN_BUT_NOT_READ: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"<svg", "SVG"),
    (0, b"P5", "PGM"),
    (0, b"P6", "PPM"),
)
