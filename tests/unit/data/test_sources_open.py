"""From text to source: formats told apart, splits found or drawn, and one helpful line when nothing fits."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from chiasm.core.errors import ChiasmError, InputError, UnknownNameError
from chiasm.core.example import Source
from chiasm.data.open import open_judged, open_source, open_splits
from chiasm.data.sources._formats import SOURCES

DEV_DATA = Path(os.environ.get("CHIASM_DEV_DATA", "../shared/data"))


def _save(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(path)
    return root


def _keys(source: Source) -> list[str]:
    return [source.key(index) for index in range(len(source))]


def _told(spec: str, split: str | None = None) -> str:
    with pytest.raises(ChiasmError) as caught:
        open_source(spec, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_source_keeps_the_contract_of_the_folder() -> None:
    for name in SOURCES.names():
        module = SOURCES.module(name)
        assert callable(SOURCES.function(name))
        assert callable(module.splits)
        assert hasattr(module, "recognises") == hasattr(module, "PRECEDENCE")


@pytest.mark.parametrize("held_out", ["test", "val", "valid", "validation", "Test"])
@pytest.mark.parametrize("classes", [True, False])
def test_split_folders(tmp_path: Path, held_out: str, classes: bool) -> None:
    names = ("cat/1.png", "dog/2.png") if classes else ("1.png", "deep/2.png")
    for split in ("train", held_out):
        _save(tmp_path / split, *names)
    train = open_source(str(tmp_path))
    assert train.name == str(tmp_path / "train")
    assert _keys(train) == list(names)
    assert train.classes == (("cat", "dog") if classes else ())
    assert open_source(str(tmp_path), held_out.lower()).name == str(tmp_path / held_out)
    assert open_source(f"{tmp_path}?split={held_out.lower()}").name == str(tmp_path / held_out)
    both = open_splits(str(tmp_path))
    assert (both.train.name, both.test.name) == (str(tmp_path / "train"), str(tmp_path / held_out))
    assert (both.train.classes, both.test.classes) == (train.classes, train.classes)
    assert "did you mean" in _told(str(tmp_path), held_out.lower() + "s")


def test_the_test_split_comes_before_the_validation_split(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        _save(tmp_path / split, "a/1.png", "b/2.png")
    assert open_splits(str(tmp_path)).test.name == str(tmp_path / "test")


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    _save(tmp_path, "car/1.png", "train/2.png", "bus/3.png")
    assert open_source(str(tmp_path)).classes == ("bus", "car", "train")


def test_an_anomaly_set_with_classes_only_in_testing(tmp_path: Path) -> None:
    _save(tmp_path, "train/good/1.png", "test/good/2.png", "test/broken/3.png", "ground_truth/broken/3.png")
    train = open_source(str(tmp_path))
    assert train.classes == ("good",)
    assert train.name == f"class_folders:{tmp_path / 'train'}"
    assert open_source(train.name).classes == ("good",)
    both = open_splits(str(tmp_path))
    assert both.train.classes == both.test.classes == ("good", "broken")
    assert [both.test.label(index) for index in range(2)] == [1, 0]
    assert [both.test.read(index).label for index in range(2)] == [1, 0]


class TestDerived:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        counts = {"a": 10, "b": 50, "c": 2, "d": 1, "e": 3}
        return _save(tmp_path, *(f"{name}/{number:03d}.png" for name, many in counts.items() for number in range(many)))

    def test_stratified(self, root: Path) -> None:
        splits = open_splits(str(root))
        held_out = Counter(splits.test.label(index) for index in range(len(splits.test)))
        assert held_out == {0: 2, 1: 10, 2: 1, 4: 1}
        train, test = _keys(splits.train), _keys(splits.test)
        assert sorted(train + test) == _keys(open_source(str(root)))
        assert train == sorted(train)
        assert test == sorted(test)

    def test_the_seed_decides_and_the_names_lead_back(self, root: Path) -> None:
        first, again, other = (open_splits(str(root), seed) for seed in (3, 3, 4))
        assert _keys(first.test) == _keys(again.test) != _keys(other.test)
        assert first.test.name == f"{root}?derived=test&seed=3"
        assert _keys(open_source(first.test.name)) == _keys(first.test)
        assert _keys(open_source(first.train.name)) == _keys(first.train)
        assert _keys(open_splits(first.train.name, 9).test) == _keys(first.test)
        twice = open_splits(f"{first.train.name}&derived=train&seed=1")
        assert set(_keys(twice.test)) < set(_keys(first.train))
        assert "not both" in _told(first.train.name, "test")

    def test_one_class_more_moves_no_picture_of_the_others(self, root: Path) -> None:
        before = _keys(open_splits(str(root)).test)
        _save(root, "aa/1.png", "aa/2.png")
        after = _keys(open_splits(str(root)).test)
        assert [key for key in after if not key.startswith("aa/")] == before

    def test_unlabelled(self, tmp_path: Path) -> None:
        splits = open_splits(str(_save(tmp_path, *(f"{number:02d}.png" for number in range(20)))))
        assert (len(splits.train), len(splits.test)) == (16, 4)

    def test_too_few(self, tmp_path: Path) -> None:
        _save(tmp_path, "a/1.png", "b/2.png")
        with pytest.raises(InputError, match="at least two pictures of some class"):
            open_splits(str(tmp_path))


class TestNothingUsable:
    def test_typing_errors_are_answered_with_the_nearest_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _save(tmp_path, "flowers/daisy.png", "flowers/rose.png")
        near = f"nothing exists at {tmp_path / 'flower'}; did you mean '{tmp_path / 'flowers'}'"
        assert near in _told(str(tmp_path / "flower"))
        assert f"did you mean '{tmp_path / 'flowers'}'" in _told(str(tmp_path / "flower" / "red"))
        assert f"did you mean '{tmp_path / 'flowers'}'" in _told(f"folder:{tmp_path / 'flowrs'}")
        monkeypatch.chdir(tmp_path)
        assert "did you mean 'flowers'" in _told("flouers")
        assert "did you mean 'world'" in _told("wrld")
        assert "check the path" in _told("something else entirely")

    def test_schemes_and_options(self, tmp_path: Path) -> None:
        _save(tmp_path, "1.png")
        with pytest.raises(UnknownNameError, match="did you mean 'folder'"):
            open_source(f"foldr:{tmp_path}")
        with pytest.raises(UnknownNameError, match="did you mean 'split'"):
            open_source(f"{tmp_path}?splt=train")
        assert "options as name=value" in _told(f"{tmp_path}?train")
        assert "download it" in _told("https://example.org/pictures.tar")
        assert "an empty text came" in _told("  ")
        assert "has no splits; leave the split out" in _told(str(tmp_path), "test")

    def test_empty_folders_and_other_files(self, tmp_path: Path) -> None:
        assert f"{tmp_path} is empty" in _told(str(tmp_path))
        for name in ("a.txt", "b.json", "c.md", "d.py"):
            (tmp_path / name).write_text("text")
        assert "holds none (a.txt, b.json, c.md and 1 more)" in _told(str(tmp_path))
        assert "holds none" in _told(f"folder:{tmp_path}")
        assert f"{tmp_path / 'a.txt'} is none of these" in _told(str(tmp_path / "a.txt"))
        os.mkfifo(tmp_path / "pipe.csv")
        assert "is none of these" in _told(str(tmp_path / "pipe.csv"))
        (tmp_path / "link").symlink_to(tmp_path / "gone")
        assert "a link that leads nowhere" in _told(str(tmp_path / "link"))

    def test_paths_the_system_refuses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "cannot (File name too long)" in _told("x" * 5000)
        _save(tmp_path, "1.png")

        def refuse(path: object) -> None:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(os, "scandir", refuse)
        assert "cannot (Permission denied); check its permissions" in _told(str(tmp_path))


def test_a_path_with_a_colon_or_a_question_mark_is_a_path(tmp_path: Path) -> None:
    for name in ("folder:x", "what?split=train"):
        _save(tmp_path, f"{name}/1.png")
        source = open_source(str(tmp_path / name))
        assert _keys(source) == ["1.png"]
        assert _keys(open_source(source.name)) == ["1.png"]


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path, "photos/1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("~/photos").name == str(tmp_path / "photos")
    assert open_source("folder:~/photos").name == str(tmp_path / "photos")


@pytest.mark.skipif(not (DEV_DATA / "flowers").is_dir(), reason="the development pictures are not here")
@pytest.mark.parametrize(
    ("spec", "train", "test", "num_classes"),
    [
        ("flowers", 300, 100, 5),
        ("flowers/labels.csv", 300, 100, 5),
        ("flickr8k_captions/captions.csv", 1600, 400, 0),
        ("pacs_photo_sketch/photo", 224, 56, 7),
    ],
)
def test_real_sets(spec: str, train: int, test: int, num_classes: int) -> None:
    splits = open_splits(str(DEV_DATA / spec))
    assert (len(splits.train), len(splits.test), len(splits.train.classes)) == (train, test, num_classes)
    assert splits.test.read(0, 32).picture.shape[2] == 3


def test_one_picture_is_a_source(tmp_path: Path) -> None:
    _save(tmp_path, "1.PNG")
    source = open_source(str(tmp_path / "1.PNG"))
    assert _keys(source) == ["1.PNG"]
    assert (source.classes, source.label(0)) == ((), None)
    assert source.read(0).picture.shape[2] == 3
    assert _keys(open_source(source.name)) == ["1.PNG"]
    (tmp_path / "1.PNG").rename(tmp_path / "bare")
    assert _keys(open_source(f"picture:{tmp_path / 'bare'}")) == ["bare"]
    assert "is none of these" in _told(str(tmp_path / "bare"))
    assert "is none" in _told(f"picture:{tmp_path}")


def test_what_is_judged_is_the_test_split_or_else_everything(tmp_path: Path) -> None:
    split = _save(tmp_path / "split", "train/a/1.png", "train/b/2.png", "val/a/3.png")
    assert _keys(open_judged(str(split))) == ["a/3.png"]
    assert _keys(open_judged(f"{split}?split=train")) == ["a/1.png", "b/2.png"]
    whole = _save(tmp_path / "whole", *(f"{name}/{number}.png" for name in "ab" for number in range(5)))
    assert len(open_judged(str(whole))) == 10
    drawn = open_splits(str(whole)).test
    assert _keys(open_judged(drawn.name)) == _keys(drawn)
    with pytest.raises(InputError, match="nothing exists"):
        open_judged(str(tmp_path / "missing"))
