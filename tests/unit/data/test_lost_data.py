"""Data that is lost or spoiled under a running loader: what can be read goes on, what cannot is listed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from chiasm.core.errors import InputError, TooManyBrokenError
from chiasm.core.seeds import stream
from chiasm.core.views import Views, ViewSpec
from chiasm.data.open import open_source
from chiasm.data.skipped import Skipped
from chiasm.data.views import ViewLoader

VIEW = ViewSpec(size_px=8)
EACH = 4


def picture(number: int, height: int = 12, width: int = 12) -> bytes:
    pixels = stream(0, "lost", number).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Fifteen shards of four pictures each."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(15):
        with tarfile.open(folder / f"{shard:02d}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(EACH * shard, EACH * (shard + 1)):
                data = picture(number)
                member = tarfile.TarInfo(f"{number:03d}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return folder


def batches_of(folder: Path, skipped: Skipped, spoil: Callable[[], object], num_batches: int = 12) -> list[Views]:
    """Batches of ten pictures; two are taken before something is spoiled."""
    loader = ViewLoader(open_source(str(folder)), [VIEW], 10, seed=3, num_threads=2, skipped=skipped, num_ahead=1)
    found = loader.iterate(0)
    first = list(islice(found, 2))
    spoil()
    rest = list(islice(found, num_batches - 2))
    found.close()
    return [*first, *rest]


def assert_only_these_are_lost(folder: Path, lost: range, spoil: Callable[[], object], reason: str) -> None:
    ledger = folder.parent / "skipped.jsonl"
    whole = batches_of(folder, Skipped(), lambda: None)
    skipped = Skipped(ledger)
    spoiled = batches_of(folder, skipped, spoil)
    assert {key for key, _ in skipped.entries} == {f"{index // EACH:02d}/{index:03d}" for index in lost}
    assert all(reason in told for _, told in skipped.entries)
    assert len(ledger.read_text().splitlines()) == len(lost)
    for step, (one, other) in enumerate(zip(whole, spoiled, strict=True)):
        kept = torch.tensor([index not in lost for index in one.indices.tolist()])
        assert torch.equal(one.images[0][kept], other.images[0][kept])
        assert torch.equal(one.indices[kept], other.indices[kept])
        if step > 4:
            assert not set(other.indices.tolist()) & set(lost)


def test_a_shard_that_vanishes(shards):
    spoil = (shards / "07.tar").unlink
    assert_only_these_are_lost(shards, range(28, 32), spoil, "its shard cannot be read: No such file")


def test_garbage_in_the_middle_of_a_shard(shards):
    def spoil() -> None:
        # Header, picture, header, picture ...: from the middle of the second picture into the third header and on.
        path = shards / "07.tar"
        data = bytearray(path.read_bytes())
        block = len(data[: 512 * -(-len(picture(28)) // 512)]) + 512
        data[block + 700 : 3 * block + 700] = b"\xa5" * (2 * block)
        path.write_bytes(data)

    assert_only_these_are_lost(shards, range(29, 32), spoil, "")
    # Opened anew, the shard is named and nothing is trained on what would be a guess.
    with pytest.raises(InputError, match=r"tar file at .*07\.tar.*fetch or unpack it again"):
        open_source(str(shards))


def test_a_shard_that_is_cut_off(shards):
    path = shards / "07.tar"
    assert_only_these_are_lost(
        shards, range(29, 32), lambda: path.write_bytes(path.read_bytes()[:1600]), "its shard was cut off"
    )
    with pytest.raises(InputError, match=r"tar file at .*07\.tar"):
        open_source(str(shards))


def test_too_many_shards_vanish(shards):
    def spoil() -> None:
        for path in sorted(shards.iterdir())[:4]:
            path.unlink()

    skipped = Skipped(shards.parent / "skipped.jsonl")
    with pytest.raises(TooManyBrokenError, match=r"at most 10% of them broken.*cannot be read.*skipped\.jsonl") as told:
        batches_of(shards, skipped, spoil, num_batches=100)
    assert "\n" not in str(told.value)
    assert 0 < skipped.count <= 16


ODD = {
    "empty.png": b"",
    "header.png": b"\x89PNG\r\n\x1a\n",
    "no-data.png": picture(0)[:33],
    "no-data.jpg": bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9"),
    "text.jpg": b"<html>404</html>",
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Eighty pictures, one of a single pixel, one of a line, and five that are none."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for number in range(80):
        (folder / f"{number:02d}.png").write_bytes(picture(number))
    (folder / "pixel.png").write_bytes(picture(80, 1, 1))
    (folder / "line.png").write_bytes(picture(81, 1, 3000))
    for name, data in ODD.items():
        (folder / name).write_bytes(data)
    return folder


def views_of_all(folder: Path, skipped: Skipped) -> set[str]:
    """Go once through everything; returns the keys of what was seen."""
    source = open_source(str(folder))
    loader = ViewLoader(source, [VIEW, VIEW], 29, seed=0, num_threads=2, skipped=skipped)
    found = loader.iterate(0)
    batches = list(islice(found, len(source) // 29))
    found.close()
    assert all(view.shape == (29, 3, 8, 8) for batch in batches for view in batch.images)
    return {source.key(index) for batch in batches for index in batch.indices.tolist()}


def test_pictures_that_decode_to_nothing_are_listed_and_the_smallest_are_pictures(odd):
    skipped = Skipped(odd.parent / "skipped.jsonl")
    seen = views_of_all(odd, skipped)
    assert {key for key, _ in skipped.entries} == set(ODD)
    assert seen >= {"pixel.png", "line.png"}
    assert not seen & set(ODD)


@pytest.mark.parametrize("crash", [MemoryError("no room"), RecursionError(), SystemError("returned NULL"), KeyError(3)])
def test_a_decoder_that_crashes_spoils_one_picture(odd, monkeypatch, crash):
    load = PngImagePlugin.PngImageFile.load

    def crashing(self: PngImagePlugin.PngImageFile) -> object:
        if self.size == (1, 1):
            raise crash
        return load(self)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", crashing)
    skipped = Skipped()
    assert "pixel.png" not in views_of_all(odd, skipped)
    assert "damaged or cut off" in dict(skipped.entries)["pixel.png"]
