"""Shards: grouping, order, labels and captions, straight access from threads, and shards that are not whole."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source
from chiasm.data.open import open_source, open_splits


def _png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (7, 5), value).save(buffer, "PNG")
    return buffer.getvalue()


def _shard(path: Path, files: Mapping[str, bytes], layout: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=layout) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _keys(source: Source) -> list[str]:
    return [source.key(index) for index in range(len(source))]


def _values(source: Source) -> list[int]:
    return [int(source.read(index).picture[0, 0, 0]) for index in range(len(source))]


def _numbered(first: int, last: int, suffix: str = "png") -> dict[str, bytes]:
    files = {}
    for number in range(first, last):
        files |= {f"{number:04d}.{suffix}": _png(number), f"{number:04d}.cls": str(number % 3).encode()}
    return files


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three shards of four samples each."""
    for number in range(3):
        _shard(tmp_path / f"part-{number:03d}.tar", _numbered(4 * number, 4 * number + 4))
    return tmp_path


def test_folder_pattern_and_single_shard(shards: Path) -> None:
    whole = open_source(str(shards))
    assert isinstance(whole, Source)
    assert _keys(whole) == [f"part-{number // 4:03d}/{number:04d}" for number in range(12)]
    assert _values(whole) == list(range(12))
    assert whole.classes == ("0", "1", "2")
    assert [whole.label(index) for index in range(12)] == [number % 3 for number in range(12)]
    assert whole.read(4).label == 1
    pattern = open_source(f"{shards}/part-{{001..002}}.tar")
    assert _keys(pattern) == _keys(whole)[4:]
    assert pattern.name == f"{shards}/part-{{001..002}}.tar"
    assert _keys(open_source(str(shards / "part-001.tar"))) == _keys(whole)[4:8]


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_layouts_and_long_names(tmp_path: Path, layout: int) -> None:
    files = {f"./some/folder/{'n' * 60}{number}.png": _png(number) for number in range(3)}
    files |= {f"{'long/' * 30}grün{number}.png": _png(number) for number in range(3, 6)}
    source = open_source(str(_shard(tmp_path / "x.tar", files, layout)))
    expected = [f"x/{name.removeprefix('./').removesuffix('.png')}" for name in files]
    assert _keys(source) == expected
    assert _values(source) == list(range(6))


def test_questions_of_a_sample(tmp_path: Path) -> None:
    several = [
        {"question": "where?", "answers": ["left", "at the left"], "kind": "place"},
        {"question": "no answer"},
        7,
    ]
    files = {
        "0.png": _png(1),
        "0.json": json.dumps({"question": "what?", "answer": "a cat", "caption": "a cat"}).encode(),
        "1.png": _png(2),
        "1.json": json.dumps({"questions": several}).encode(),
        "2.png": _png(3),
    }
    source = open_source(str(_shard(tmp_path / "x.tar", files)))
    found = [[(one.kind, one.question, one.answer) for one in source.read(index).questions] for index in range(3)]
    assert found == [
        [("", "what?", "a cat")],
        [("place", "where?", "left"), ("place", "where?", "at the left")],
        [],
    ]
    assert source.read(0).captions == ("a cat",)


def test_what_a_sample_is_made_of(tmp_path: Path) -> None:
    described = {"caption": " from json ", "label": "zebra"}
    files = {
        "0.txt": b"first caption\n\n second caption \n",
        "0.json": json.dumps({"caption": "not this one"}).encode(),
        "0.PNG": _png(1),
        "1.jpg": _png(2),
        "1.json": json.dumps(described).encode(),
        "2.json": json.dumps({"captions": ["a", "b"], "label": "ape"}).encode(),
        "2.webp": _png(3),
        "2.seg.png": _png(99),
        "3.txt": b"no picture here",
        ".4.png": _png(4),
        "5.png": _png(5),
    }
    source = open_source(str(_shard(tmp_path / "x.tar", files)))
    assert _keys(source) == ["x/0", "x/1", "x/2", "x/5"]
    assert _values(source) == [1, 2, 3, 5]
    captions = [source.read(index).captions for index in range(4)]
    assert captions == [("first caption", "second caption"), ("from json",), ("a", "b"), ()]
    assert source.classes == ("ape", "zebra")
    assert [source.label(index) for index in range(4)] == [None, 1, 0, None]


def test_class_names_beside_the_shards(shards: Path) -> None:
    (shards / "classes.txt").write_text("plane\ncar\nbird\nship\n")
    source = open_source(str(shards))
    assert source.classes == ("plane", "car", "bird", "ship")
    assert source.label(1) == 1
    (shards / "classes.txt").write_text("plane\ncar\n")
    with pytest.raises(InputError, match="2 class names, but '2' came"):
        open_source(str(shards))


def test_linked_members_share_their_content(tmp_path: Path) -> None:
    path = _shard(tmp_path / "x.tar", {"a.png": _png(8)})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.LNKTYPE, "a.png"
        archive.addfile(link)
    source = open_source(str(path))
    assert _keys(source) == ["x/a", "x/b"]
    assert _values(source) == [8, 8]


def test_reads_from_many_threads(shards: Path) -> None:
    source = open_source(str(shards))
    order = np.random.default_rng(0).integers(0, 12, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        examples = list(pool.map(source.read, order))
    assert [int(example.picture[0, 0, 0]) for example in examples] == order
    assert [example.key for example in examples] == [source.key(index) for index in order]


def test_splits_by_folder_and_by_name(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 4)):
        _shard(tmp_path / "folders" / split / "0.tar", _numbered(first, first + 4))
        _shard(tmp_path / "names" / f"birds-{split}-0000.tar", _numbered(first, first + 4))
    by_folder = open_splits(str(tmp_path / "folders"))
    assert _values(by_folder.test) == [4, 5, 6, 7]
    by_name = open_splits(str(tmp_path / "names"))
    assert by_name.test.name == f"{tmp_path}/names?split=val"
    assert _values(by_name.test) == _values(open_source(by_name.test.name)) == [4, 5, 6, 7]
    assert _values(open_source(str(tmp_path / "names"))) == [0, 1, 2, 3]


def test_a_broken_picture_is_one_broken_picture(tmp_path: Path) -> None:
    files = _numbered(0, 2) | {"0002.png": b"", "0003.png": b"text", "0004.png": _png(4)[:-20]}
    source = open_source(str(_shard(tmp_path / "x.tar", files)))
    reasons = []
    for index in range(2, 5):
        with pytest.raises(BrokenPictureError) as caught:
            source.read(index)
        reasons.append((caught.value.key, caught.value.reason[:12]))
    assert reasons == [("x/0002", "the file is "), ("x/0003", "the content "), ("x/0004", "cut off: the")]


def test_a_shard_that_changes_while_it_is_open(shards: Path) -> None:
    source = open_source(str(shards))
    (shards / "part-000.tar").unlink()
    (shards / "part-001.tar").write_bytes((shards / "part-001.tar").read_bytes()[:700])
    with pytest.raises(BrokenPictureError, match="shard cannot be read"):
        source.read(0)
    with pytest.raises(BrokenPictureError, match="shard was cut off"):
        source.read(5)
    assert source.read(8).key == "part-002/0008"


def test_shards_that_are_not_whole(tmp_path: Path) -> None:
    path = _shard(tmp_path / "x.tar", _numbered(0, 4))
    data = path.read_bytes()
    for length in (100, 512 + 20, 1024, 1024 + 300, 2048):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match="whole, uncompressed tar file"):
            open_source(str(path))
    path.write_bytes(data[:1024] + b"x" * 512 + data[1536:])
    with pytest.raises(InputError, match="without the mark of an end"):
        open_source(str(path))
    path.write_bytes(gzip.compress(data))
    with pytest.raises(InputError, match="uncompressed"):
        open_source(str(path))
    path.write_bytes(b"not a tar file at all" * 100)
    with pytest.raises(InputError, match="uncompressed"):
        open_source(str(path))
    _shard(path, {"0.txt": b"caption"})
    with pytest.raises(InputError, match="1 shards hold none"):
        open_source(str(path))
    with pytest.raises(InputError, match=r"the shard .*x-1\.tar, but no such file"):
        open_source(f"{tmp_path}/x-{{1..99999999999999}}.tar")
    _shard(path, {"0.png": _png(0), "0.cls": b"1", "0.json": b"{"})
    with pytest.raises(BrokenPictureError, match="its JSON cannot be parsed"):
        open_source(str(path)).read(0)
    _shard(path, {"0.png": _png(0), "0.json": b"{"})
    with pytest.raises(InputError, match=r"JSON in .*x\.tar: 0\.json"):
        open_source(str(path))
