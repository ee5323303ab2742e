"""Digests: they change with the picture's bytes and with nothing else, and nothing is decoded for them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source, Subset
from chiasm.data.cache import Cached
from chiasm.data.open import open_picture, open_source, open_splits
from chiasm.data.sources import _stored


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (12, 10), value).save(buffer, "PNG")
    return buffer.getvalue()


def write_files(folder: Path, values: list[int], caption: str) -> Source:
    folder.mkdir(exist_ok=True)
    rows = ["path,caption"]
    for index, value in enumerate(values):
        (folder / f"{index}.png").write_bytes(png(value))
        rows.append(f"{index}.png,{caption}")
    (folder / "table.csv").write_text("\n".join(rows))
    return open_source(str(folder / "table.csv"))


def write_shard(folder: Path, values: list[int], caption: str) -> Source:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "a.tar", "w") as shard:
        for index, value in enumerate(values):
            for suffix, data in (("png", png(value)), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{index}.{suffix}")
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    return open_source(str(folder / "a.tar"))


def write_rows(folder: Path, values: list[int], caption: str) -> Source:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    pictures = [{"bytes": png(value), "path": None} for value in values]
    content = {"image": pictures, "caption": [caption] * len(values)}
    where = str(folder / f"saved{len(list(folder.parent.rglob('saved*')))}")
    datasets.Dataset.from_dict(content, features=features).save_to_disk(where)
    return open_source(where)


def digests(source: Source) -> list[str]:
    return [source.digest(index) for index in range(len(source))]


@pytest.mark.parametrize("write", [write_files, write_shard, write_rows])
def test_a_digest_is_of_the_stored_picture_alone(write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(_stored, "decode", None)
    before = digests(write(tmp_path / "set", [1, 2, 3], "a cat"))
    after = digests(write(tmp_path / "set", [1, 9, 3], "a dog"))
    assert len(set(before)) == 3
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_the_same_bytes_have_the_same_digest_wherever_they_lie(tmp_path: Path) -> None:
    found = [digests(write(tmp_path / write.__name__, [7], "x")) for write in (write_files, write_shard, write_rows)]
    assert found[0] == found[1] == found[2]
    assert [open_picture(tmp_path / "write_files" / "0.png").digest(0)] == found[0]


def test_sources_around_sources_pass_digests_on(tmp_path: Path) -> None:
    source = write_files(tmp_path / "set", [1, 2, 3], "x")
    assert Subset(source, [2, 0], "some").digest(0) == source.digest(2)
    assert Cached(source, 10**6).digest(1) == source.digest(1)


def test_a_file_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    source = write_files(tmp_path / "set", [1, 2], "x")
    (tmp_path / "set" / "1.png").unlink()
    with pytest.raises(BrokenPictureError, match="no such file"):
        source.digest(1)


def test_the_world_tells_its_settings_apart() -> None:
    plain = open_source("world:train?size=32")
    assert digests(Subset(plain, [0, 1], "two")) == [plain.digest(0), plain.digest(1)]
    assert plain.digest(0) != plain.digest(1)
    others = (
        "world:train?size=64",
        "world:train?size=32&seed=1",
        "world:train?size=32&domain=sketch",
        "world:test?size=32",
    )
    assert len({plain.digest(0), *(open_source(spec).digest(0) for spec in others)}) == 5
    # A longer world begins with the same pictures, and captions are no part of them.
    for spec in ("world:train?size=32&length=50", "world:train?size=32&language=0"):
        assert open_source(spec).digest(0) == plain.digest(0)
    assert open_splits("world:?size=32").train.digest(0) == plain.digest(0)
