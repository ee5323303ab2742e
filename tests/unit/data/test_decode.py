"""Decoding: every mode and orientation to the right colours, every bad file to one error, nothing filled in."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from chiasm.core.errors import BrokenPictureError
from chiasm.data.decode import DEFAULT_MAX_BYTES, decode, read_file

HEIGHT, WIDTH = 61, 83


def _smooth(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpeg(height: int = HEIGHT, width: int = WIDTH, **options: object) -> bytes:
    return _encoded(Image.fromarray(_smooth(height, width)), "JPEG", **options)


def _png(image: Image.Image | None = None, **options: object) -> bytes:
    return _encoded(Image.fromarray(_smooth()) if image is None else image, "PNG", **options)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _png_chunk(*chunk) for chunk in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def _jpeg_that_claims(width: int, height: int) -> bytes:
    data = bytearray(_jpeg())
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _damaged_png() -> bytes:
    """One bit of the pixels is turned; the checksum is that of the sound file."""
    data = bytearray(_png())
    data[data.index(b"IDAT") + 60] ^= 4
    return bytes(data)


def _reason(data: bytes, **options: int) -> str:
    with pytest.raises(BrokenPictureError) as caught:
        decode(data, "shelf/7.jpg", **options)
    assert caught.value.key == "shelf/7.jpg"
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("PNG", {"optimize": True}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 12),
        ("JPEG", {"quality": 98, "subsampling": 0}, 6),
        ("JPEG", {"quality": 98, "progressive": True, "subsampling": 0}, 6),
    ],
)
def test_reads_every_format(kind: str, options: dict[str, object], tolerance: int) -> None:
    picture = decode(_encoded(Image.fromarray(_smooth()), kind, **options), "x")
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(picture.astype(int) - _smooth()).max() <= tolerance


def _solid(mode: str, value: float | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (4, 3), value)


def _palette_image(transparency: int | bytes | None) -> bytes:
    image = Image.new("P", (4, 3), 1)
    image.putpalette([0, 0, 0, 200, 100, 40])
    return _encoded(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


def _grey(values: np.ndarray, kind: str) -> bytes:
    return _encoded(Image.fromarray(values), kind)


_ODD_MODES: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "grey": (_png(_solid("L", 77)), (77, 77, 77)),
    "1 bit": (_png(_solid("1", 1)), (255, 255, 255)),
    "palette": (_palette_image(None), (200, 100, 40)),
    "palette, entry transparent": (_palette_image(1), (255, 255, 255)),
    # 200 * 0.4 + 255 * 0.6 and so on
    "palette, entry half transparent": (_palette_image(bytes([255, 102])), (233, 193, 169)),
    "grey with alpha": (_png(_solid("LA", (100, 51))), (224, 224, 224)),
    "colour with alpha": (_png(_solid("RGBA", (200, 100, 40, 102))), (233, 193, 169)),
    "colour with a transparent one": (_png(_solid("RGB", (9, 8, 7)), transparency=(9, 8, 7)), (255, 255, 255)),
    "alpha in WebP": (_encoded(_solid("RGBA", (0, 0, 0, 0)), "WEBP", lossless=True, exact=True), (255, 255, 255)),
    "16 bit grey PNG": (_grey(np.full((3, 4), 40_000, np.uint16), "PNG"), (156, 156, 156)),
    "16 bit grey TIFF": (_grey(np.full((3, 4), 65_535, np.uint16), "TIFF"), (255, 255, 255)),
    "32 bit, 8 bit values": (_grey(np.full((3, 4), 200, np.int32), "TIFF"), (200, 200, 200)),
    "32 bit, 16 bit values": (_grey(np.full((3, 4), 40_000, np.int32), "TIFF"), (156, 156, 156)),
    "float from 0 to 1": (_grey(np.full((3, 4), 0.4, np.float32), "TIFF"), (102, 102, 102)),
    "float from 0 to 255": (_grey(np.full((3, 4), 130.4, np.float32), "TIFF"), (130, 130, 130)),
    "CMYK TIFF": (_encoded(_solid("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    "CMYK JPEG": (_encoded(_solid("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), (255, 0, 0)),
    "grey JPEG": (_encoded(_solid("L", 77), "JPEG", quality=100), (77, 77, 77)),
    "GIF": (_encoded(_solid("L", 77), "GIF"), (77, 77, 77)),
    "YCbCr TIFF": (_encoded(_solid("YCbCr", (128, 128, 128)), "TIFF"), (128, 128, 128)),
}


@pytest.mark.parametrize("name", _ODD_MODES)
def test_odd_modes_have_the_stated_colours(name: str) -> None:
    data, colour = _ODD_MODES[name]
    picture = decode(data, name)
    assert picture.shape == (3, 4, 3)
    assert np.abs(picture.astype(int) - colour).max() <= 1


@pytest.mark.parametrize("values", [np.array([[-3.0, 0.0, 1.0]]), np.array([[0.0, 900.0, 1200.0]])])
def test_floats_without_a_known_white_are_stretched(values: np.ndarray) -> None:
    grey = decode(_grey(values.astype(np.float32), "TIFF"), "x")[0, :, 0]
    assert grey.tolist() == [0, round(255 * (values[0, 1] - values[0, 0]) / np.ptp(values)), 255]


def test_16_bit_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65_535, 256, dtype=np.uint16)[None]
    assert decode(_grey(ramp, "PNG"), "x")[0, :, 0].tolist() == list(range(256))


def test_cmyk_jpeg_is_read_as_pillow_reads_it_and_scales() -> None:
    data = _encoded(Image.fromarray(_smooth(64, 96)).convert("CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.abs(decode(data, "x").astype(int) - expected).max() <= 1
    assert decode(data, "x", min_side_px=32).shape == (32, 48, 3)


def test_ycck_jpeg_is_read_as_pillow_reads_it() -> None:
    data = bytearray(_encoded(Image.fromarray(_smooth()).convert("CMYK"), "JPEG", quality=95))
    # Adobe's segment says with its last byte whether the inks are transformed (2: YCCK).
    data[data.index(b"Adobe") + 11] = 2
    with Image.open(io.BytesIO(bytes(data))) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.abs(decode(bytes(data), "x").astype(int) - expected).mean() < 1


def test_first_frame_of_an_animation() -> None:
    first, second = Image.new("RGB", (4, 3), (250, 0, 0)), Image.new("RGB", (4, 3), (0, 0, 250))
    for kind, options in (("GIF", {}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        data = _encoded(first, kind, save_all=True, append_images=[second], **options)
        assert np.abs(decode(data, kind).astype(int) - (250, 0, 0)).max() <= 5


def _with_orientation(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "some words before the tag"
    exif[0x0112] = orientation
    return _encoded(Image.fromarray(_smooth(64, 96)), kind, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_pillows(kind: str, orientation: int) -> None:
    data = _with_orientation(kind, orientation)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    picture = decode(data, "x")
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).max() <= 3
    if kind == "JPEG":
        scaled = decode(data, "x", min_side_px=32)
        assert scaled.shape == ((48, 32, 3) if orientation >= 5 else (32, 48, 3))
        assert np.abs(scaled.astype(int) - cv2.resize(expected, scaled.shape[1::-1], interpolation=3)).mean() < 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "field"), [(3, "HH"), (4, "I")])
def test_orientation_in_both_byte_orders_and_widths(order: str, kind: int, field: str) -> None:
    values = (6, 0) if field == "HH" else (6,)
    tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    tiff += struct.pack(f"{order}HHHI{field}I", 1, 0x0112, kind, 1, *values, 0)
    data = _jpeg(64, 96)
    segment = b"Exif\0\0" + tiff
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert decode(data, "x").shape == (96, 64, 3)


@pytest.mark.parametrize("tiff", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"nonsense"])
def test_malformed_exif_means_upright(tiff: bytes) -> None:
    segment = b"Exif\0\0" + tiff
    data = _jpeg()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert decode(data, "x").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("min_side_px", "side"),
    [(None, 800), (2000, 800), (800, 800), (500, 800), (401, 800), (400, 400), (301, 400), (300, 300), (201, 300)]
    + [(200, 200), (101, 200), (100, 100), (64, 100), (1, 100), (0, 100)],
)
def test_jpeg_is_decoded_at_the_smallest_scale_that_suffices(min_side_px: int | None, side: int) -> None:
    data = _jpeg(800, 1000, quality=60)
    assert decode(data, "x", min_side_px=min_side_px).shape == (side, side * 5 // 4, 3)


def test_scaled_jpeg_shows_the_same_picture() -> None:
    whole = decode(_jpeg(640, 480), "x")
    scaled = decode(_jpeg(640, 480), "x", min_side_px=60)
    assert scaled.shape == (80, 60, 3)
    assert np.abs(cv2.resize(whole, (60, 80), interpolation=cv2.INTER_AREA).astype(int) - scaled).mean() < 2


_BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"these are the labels of my pictures\n" * 40, "no picture"),
    "web page": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "no picture"),
    "zeros": (lambda: bytes(4096), "no picture"),
    "archive": (lambda: b"PK\x03\x04" + bytes(100), "no picture"),
    "format not read": (lambda: b"\0\0\0\x20ftypheic" + bytes(100), "HEIC is a format that is not read"),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(100), "PDF is a format"),
    "JPEG start only": (lambda: b"\xff\xd8\xff\xe0", "damaged or cut off"),
    "JPEG without its end mark": (lambda: _jpeg()[:-2], "damaged or cut off"),
    "JPEG cut in the pixels": (lambda: _jpeg()[: len(_jpeg()) // 2], "damaged or cut off"),
    "JPEG cut and closed again": (lambda: _jpeg()[: len(_jpeg()) * 3 // 4] + b"\xff\xd9", "damaged or cut off"),
    "progressive JPEG cut": (lambda: _jpeg(progressive=True)[:-300], "damaged or cut off"),
    "CMYK JPEG cut": (lambda: _encoded(_solid("CMYK", 9).resize((90, 90)), "JPEG")[:-9], "damaged or cut off"),
    "JPEG without height": (lambda: _jpeg_that_claims(83, 0), ""),
    "JPEG of enormous size": (lambda: _jpeg_that_claims(60_000, 60_000), "more than the 200000000 allowed"),
    "PNG cut in the pixels": (lambda: _png()[:-400], "cut off"),
    "PNG without its end": (lambda: _png()[:-12], "cut off"),
    "PNG damaged in the pixels": (_damaged_png, "checksum"),
    "PNG of enormous size": (lambda: _png_that_claims(50_000, 50_000), "more than the 200000000 allowed"),
    "PNG with too few pixels": (lambda: _png_that_claims(50, 50), "damaged or cut off"),
    "PNG without width": (lambda: _png_that_claims(0, 50), ""),
    "GIF cut": (lambda: _encoded(Image.fromarray(_smooth()), "GIF")[:-500], "damaged or cut off"),
    "GIF start only": (lambda: b"GIF89a", "damaged or cut off"),
    "BMP cut": (lambda: _encoded(Image.fromarray(_smooth()), "BMP")[:-500], "damaged or cut off"),
    "BMP in name only": (lambda: b"BMW is a maker of cars", "damaged or cut off"),
    "WebP cut": (lambda: _encoded(Image.fromarray(_smooth()), "WEBP")[:-50], "damaged or cut off"),
    "WebP of another kind": (lambda: b"RIFF\x20\0\0\0WEBPXXXX" + bytes(40), "no readable header"),
    "TIFF cut": (lambda: _encoded(Image.fromarray(_smooth()), "TIFF")[:-500], "damaged or cut off"),
    "TIFF directory missing": (lambda: b"II*\0\xff\xff\0\0", "damaged or cut off"),
    "float TIFF with holes": (lambda: _grey(np.array([[0.0, np.nan]], np.float32), "TIFF"), "not finite"),
}


@pytest.mark.parametrize("name", _BAD)
def test_bad_files_are_told_in_one_line(name: str) -> None:
    make, told = _BAD[name]
    assert told in _reason(make())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_cut_file_is_never_filled_in(kind: str) -> None:
    data = _encoded(Image.fromarray(_smooth()), kind)
    whole = decode(data, "x")
    for length in range(0, len(data), max(len(data) // 25, 1)):
        try:
            picture = decode(data[:length], "x")
        except BrokenPictureError:
            continue
        np.testing.assert_array_equal(picture, whole)


def test_webp_of_enormous_size_is_refused_before_memory_is_set_aside() -> None:
    header = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_382).to_bytes(3, "little") * 2
    assert "16383 x 16383 pixels" in _reason(b"RIFF" + struct.pack("<I", 100) + b"WEBP" + header + bytes(80))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_the_pixel_limit_is_an_argument(kind: str) -> None:
    data = _encoded(Image.fromarray(_smooth()), kind)
    assert decode(data, "x", max_pixels=HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 3)
    assert "are more than" in _reason(data, max_pixels=HEIGHT * WIDTH - 1)


def test_bytes_after_the_picture_do_no_harm() -> None:
    for data in (_jpeg(), _png()):
        np.testing.assert_array_equal(decode(data + b"trailer" * 50, "x"), decode(data, "x"))


def test_a_progressive_scan_header_in_a_plain_jpeg_does_no_harm() -> None:
    data = bytearray(_jpeg())
    start = data.index(b"\xff\xda")
    data[start + 12] = 0  # end of the spectral selection: 63 in plain files
    with pytest.raises(ValueError, match="Invalid SOS"):
        simplejpeg.decode_jpeg(bytes(data))
    np.testing.assert_array_equal(decode(bytes(data), "x"), decode(_jpeg(), "x"))
    assert "damaged or cut off" in _reason(bytes(data[:-300]) + b"\xff\xd9")


def test_jpeg_with_a_subsampling_that_has_no_name() -> None:
    # One unit of a 4:2:0 file (six blocks) is declared as two blocks per colour, halved in alternate directions.
    data = bytearray(_jpeg(16, 16, subsampling=2))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data[frame + 11], data[frame + 14], data[frame + 17] = 0x21, 0x12, 0x21
    data[scan + 8] = 0x00
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg_header(bytes(data))
    with Image.open(io.BytesIO(bytes(data))) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(bytes(data), "x"), expected)


def test_threads_do_not_disturb_each_other() -> None:
    files = [data for data, _ in _ODD_MODES.values()] + [_with_orientation("JPEG", 6), _jpeg()[:-2], b""]

    def outcome(data: bytes) -> bytes | str:
        try:
            return decode(data, "x").tobytes()
        except BrokenPictureError as error:
            return error.reason

    expected = [outcome(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, files * 20)) == expected * 20


def test_remarks_on_metadata_are_not_printed() -> None:
    tiff = bytearray(_encoded(_solid("L", 7), "TIFF"))
    (directory,) = struct.unpack_from("<I", tiff, 4)
    # Two values for the width: Pillow warns, and reads the picture.
    entry = tiff.index(struct.pack("<H", 0x0106), directory)
    tiff[entry + 4 : entry + 8] = struct.pack("<I", 2)
    script = "import sys; from chiasm.data.decode import decode; print(decode(sys.stdin.buffer.read(), 'x').shape)"
    done = subprocess.run([sys.executable, "-c", script], input=bytes(tiff), capture_output=True, check=True)
    assert done.stdout.strip() == b"(3, 4, 3)"
    assert done.stderr == b""


class TestFiles:
    """What lies at a path need not be a file at all."""

    def _reason(self, path: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> str:
        with pytest.raises(BrokenPictureError) as caught:
            decode(read_file(path, max_bytes=max_bytes), str(path))
        assert caught.value.key == str(path)
        return caught.value.reason

    def test_reads_by_content_not_by_name(self, tmp_path: Path) -> None:
        path = tmp_path / "really a png.jpg"
        path.write_bytes(_png())
        np.testing.assert_array_equal(decode(read_file(path), "x"), _smooth())

    def test_the_key_may_be_given(self, tmp_path: Path) -> None:
        with pytest.raises(BrokenPictureError, match="cats/1 is not one"):
            read_file(tmp_path / "none", "cats/1")

    def test_folder(self, tmp_path: Path) -> None:
        assert self._reason(tmp_path) == "it is a folder"

    def test_missing_and_dangling(self, tmp_path: Path) -> None:
        link = tmp_path / "link.jpg"
        link.symlink_to(tmp_path / "gone.jpg")
        assert self._reason(link) == "the link leads nowhere"
        assert self._reason(tmp_path / "gone.jpg") == "no such file"
        loop = tmp_path / "loop.jpg"
        loop.symlink_to(loop)
        assert "cannot be opened" in self._reason(loop)

    def test_pipe_does_not_hang(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe.jpg"
        os.mkfifo(pipe)
        assert self._reason(pipe) == "it is not a regular file"

    def test_a_pipe_that_takes_the_files_place_does_not_hang(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipe, file = tmp_path / "pipe.jpg", tmp_path / "file.jpg"
        os.mkfifo(pipe)
        file.write_bytes(_jpeg())
        status = file.stat()
        monkeypatch.setattr(Path, "stat", lambda self: status)
        assert self._reason(pipe) == "it is not a regular file"

    def test_device(self) -> None:
        assert self._reason(Path("/dev/zero")) == "it is not a regular file"

    def test_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "locked.jpg"
        path.write_bytes(_jpeg())

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        assert self._reason(path) == "it cannot be opened: Permission denied"

    def test_too_many_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "huge.jpg"
        with path.open("wb") as file:
            file.truncate(1 << 40)
        assert "more than the 1073741824 allowed" in self._reason(path)
        path.write_bytes(_jpeg())
        assert "allowed" in self._reason(path, max_bytes=100)

    def test_impossible_path(self) -> None:
        assert "cannot be opened" in self._reason(Path("a\0b.jpg"))
