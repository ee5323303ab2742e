"""Saved data sets of the `datasets` library: pictures by our own decoding, class names, captions, splits."""

from __future__ import annotations

import builtins
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chiasm.core.errors import BrokenPictureError, InputError, MissingExtraError
from chiasm.core.example import Source
from chiasm.data.open import open_source, open_splits

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()


def _jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (64, 48), value).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _rows(pictures: list[Any], **more: Any) -> Any:
    features = {"id": datasets.Value("int64"), "img": datasets.Image()}
    content = {"id": list(range(len(pictures))), "img": pictures}
    for name, (feature, values) in more.items():
        features[name], content[name] = feature, values
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


def test_class_labels_captions_and_unknown(tmp_path: Path) -> None:
    pictures = [{"bytes": _jpeg(value), "path": None} for value in (10, 20, 30)]
    kinds = (datasets.ClassLabel(names=["cat", "dog"]), [1, 0, -1])
    captions = (datasets.List(datasets.Value("string")), [["one", "uno"], [], ["three"]])
    _rows(pictures, fine=kinds, captions=captions).save_to_disk(tmp_path / "set")
    source = open_source(str(tmp_path / "set"))
    assert isinstance(source, Source)
    assert source.classes == ("cat", "dog")
    assert [source.label(index) for index in range(len(source))] == [1, 0, None]
    assert [source.key(index) for index in range(3)] == ["00000000", "00000001", "00000002"]
    example = source.read(0)
    assert example.captions == ("one", "uno")
    assert example.label == 1
    assert example.picture.shape == (48, 64, 3)
    assert abs(int(example.picture.mean()) - 10) <= 1
    assert source.read(0, 12).picture.shape == (12, 16, 3)
    with ThreadPoolExecutor(8) as pool:
        means = [round(float(each.picture.mean()), -1) for each in pool.map(source.read, [0, 1, 2] * 30)]
    assert means == [10, 20, 30] * 30


def test_questions_with_the_answers_of_several_people(tmp_path: Path) -> None:
    pictures = [{"bytes": _jpeg(value), "path": None} for value in (10, 20)]
    text = datasets.Value("string")
    answer = datasets.List({"answer": text, "answer_confidence": text})
    given = [[{"answer": "yes", "answer_confidence": "yes"}, {"answer": "no", "answer_confidence": "maybe"}], []]
    asked = (text, ["is it dark?", "is it light?"])
    _rows(pictures, question=asked, answers=(answer, given), question_type=(text, ["is", "is"])).save_to_disk(
        tmp_path / "set"
    )
    source = open_source(str(tmp_path / "set"))
    assert [(one.kind, one.question, one.answer) for one in source.read(0).questions] == [
        ("is", "is it dark?", "yes"),
        ("is", "is it dark?", "no"),
    ]
    assert source.read(1).questions == ()


def test_paths_empty_rows_and_broken_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_jpeg(50))
    pictures = [{"bytes": None, "path": str(tmp_path / "a.jpg")}, None, {"bytes": _jpeg(9)[:-30], "path": None}]
    text = (datasets.Value("string"), ["x", None, "y"])
    _rows(pictures, text=text, label=(datasets.Value("string"), ["b", "a", None])).save_to_disk(tmp_path / "set")
    source = open_source(str(tmp_path / "set"))
    assert source.classes == ("a", "b")
    assert [source.label(index) for index in range(3)] == [1, 0, None]
    assert source.read(0).captions == ("x",)
    with pytest.raises(BrokenPictureError, match="the row has no picture"):
        source.read(1)
    with pytest.raises(BrokenPictureError, match="00000002 is not one"):
        source.read(2)


def test_splits_of_a_dictionary(tmp_path: Path) -> None:
    pictures = [{"bytes": _jpeg(value), "path": None} for value in range(5)]
    rows = _rows(pictures)
    saved = datasets.DatasetDict({"train": rows.select([0, 1, 2]), "validation": rows.select([4, 3])})
    saved.save_to_disk(tmp_path / "set")
    assert len(open_source(str(tmp_path / "set"))) == 3
    both = open_splits(str(tmp_path / "set"))
    assert both.test.name == str(tmp_path / "set" / "validation")
    assert [round(float(both.test.read(index).picture.mean())) for index in range(2)] == [4, 3]


def test_unusable_sets_are_told_in_one_line(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"x": [1], "y": [2]}).save_to_disk(tmp_path / "no pictures")
    with pytest.raises(InputError, match="1 rows with the columns x, y"):
        open_source(str(tmp_path / "no pictures"))
    _rows([{"bytes": _jpeg(1), "path": None}]).save_to_disk(tmp_path / "damaged")
    (tmp_path / "damaged" / "data-00000-of-00001.arrow").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be opened") as caught:
        open_source(str(tmp_path / "damaged"))
    assert "\n" not in str(caught.value)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _rows([{"bytes": _jpeg(1), "path": None}]).save_to_disk(tmp_path / "set")
    found = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"chiasm\[train\]"):
        open_source(str(tmp_path / "set"))
