"""Folders and class folders: what counts as a picture, in which order, under which key, with which label."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source
from chiasm.data.open import open_source


def save(path: Path, value: int = 100, size: tuple[int, int] = (10, 8)) -> Path:
    """A picture of one grey, as PNG whatever the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path, "PNG")
    return path


def keys(source: Source) -> list[str]:
    return [source.key(index) for index in range(len(source))]


def labels(source: Source) -> list[int | None]:
    return [source.label(index) for index in range(len(source))]


def test_any_depth_sorted_by_path(tmp_path: Path) -> None:
    names = ["b.png", "a/z.JPG", "a/b/c.webp", "c/1.tiff", "a.gif"]
    for value, name in enumerate(names):
        save(tmp_path / name, value)
    source = open_source(str(tmp_path))
    assert isinstance(source, Source)
    assert keys(source) == sorted(names)
    assert source.classes == ()
    assert labels(source) == [None] * 5
    for index, name in enumerate(sorted(names)):
        example = source.read(index)
        assert example.key == name
        assert example.picture.shape == (8, 10, 3)
        assert (example.picture == names.index(name)).all()


def test_what_is_no_picture_is_passed_over_and_what_claims_to_be_one_is_met(tmp_path: Path) -> None:
    save(tmp_path / "good.png")
    save(tmp_path / "0a1b2c")
    for name in ("labels.csv", "notes.txt", "meta.json", "README.md", "README", "Thumbs.db", ".hidden.jpg"):
        (tmp_path / name).write_text("BM is how bitmaps begin" if name == "notes.txt" else "some text")
    save(tmp_path / ".cache" / "thumbnail.png")
    save(tmp_path / "__MACOSX" / "good.png")
    (tmp_path / "text.jpg").write_text("some text")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x20ftypheic")
    (tmp_path / "empty.png").touch()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    source = open_source(str(tmp_path))
    assert keys(source) == ["0a1b2c", "empty.png", "gone.png", "good.png", "phone.heic", "pipe.jpg", "text.jpg"]
    reasons = {}
    for index in range(len(source)):
        try:
            source.read(index)
        except BrokenPictureError as error:
            reasons[source.key(index)] = (error.key, error.reason)
    told = {
        "empty.png": "the file is empty",
        "gone.png": "the link leads nowhere",
        "phone.heic": "HEIC is a format that is not read",
        "pipe.jpg": "it is not a regular file",
        "text.jpg": "the content is no picture",
    }
    assert reasons == {key: (key, reason) for key, reason in told.items()}


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "x.png")
    root = tmp_path / "root"
    save(root / "deep" / "y.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "deep" / "circle").symlink_to(root)
    assert keys(open_source(f"folder:{root}")) == ["deep/y.png", "linked/x.png"]


def test_names_that_are_no_valid_unicode(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    for folder in (odd, "tea"):
        save(tmp_path / folder / "fine.png")
        (tmp_path / folder / "fine.png").rename(tmp_path / folder / f"{odd}.png")
    source = open_source(str(tmp_path))
    assert source.read(0).key == source.key(0) == r"caf\udce9/caf\udce9.png"
    assert source.classes == (r"caf\udce9", "tea")
    (tmp_path / odd / f"{odd}.png").write_bytes(b"torn")
    with pytest.raises(BrokenPictureError, match=r"caf.udce9/caf.udce9.png is not one"):
        source.read(0)
    "".join((*keys(source), *source.classes)).encode("utf-8")


def test_reading_passes_the_wanted_size_on(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480)).save(tmp_path / "a.jpg")
    source = open_source(str(tmp_path))
    assert source.read(0).picture.shape == (480, 640, 3)
    assert source.read(0, 100).picture.shape == (120, 160, 3)


class TestClassFolders:
    def test_sorted_classes_and_pictures(self, tmp_path: Path) -> None:
        for name in ("dog/2.png", "dog/1.png", "cat/deep/3.png", "cat/4.png", "bird/5.png"):
            save(tmp_path / name)
        (tmp_path / "empty").mkdir()
        (tmp_path / "classes.txt").write_text("cat\n")
        source = open_source(str(tmp_path))
        assert source.classes == ("bird", "cat", "dog")
        assert keys(source) == ["bird/5.png", "cat/4.png", "cat/deep/3.png", "dog/1.png", "dog/2.png"]
        assert labels(source) == [0, 1, 1, 2, 2]
        assert source.read(1).label == 1
        assert source.name == str(tmp_path)

    @pytest.mark.parametrize(
        "names",
        [
            ("images/1.png", "masks/1.png"),
            ("cat/1.png", "dog/2.png", "3.png"),
            ("only/1.png", "only/2.png"),
            ("photo/cat/1.png", "sketch/cat/2.png"),
        ],
        ids=["parts of a data set", "pictures beside", "one folder", "classes one level down"],
    )
    def test_folders_that_are_no_classes(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        for name in names:
            save(tmp_path / name)
        source = open_source(str(tmp_path))
        assert source.classes == ()
        assert keys(source) == sorted(names)

    def test_the_scheme_overrules(self, tmp_path: Path) -> None:
        for name in ("cat/1.png", "dog/2.png"):
            save(tmp_path / name)
        unlabelled = open_source(f"folder:{tmp_path}")
        assert unlabelled.classes == ()
        assert unlabelled.name == f"folder:{tmp_path}"
        single = open_source(f"class_folders:{tmp_path}")
        assert single.name == str(tmp_path)
        save(tmp_path / "x" / "one" / "1.png")
        assert open_source(f"class-folders:{tmp_path / 'x'}").classes == ("one",)
        assert open_source(f"class_folders:{tmp_path / 'x'}").name == f"class_folders:{tmp_path / 'x'}"

    def test_a_folder_without_any_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        with pytest.raises(InputError, match="one folder of pictures per class"):
            open_source(f"class_folders:{tmp_path}")


def test_pictures_are_what_the_files_hold_in_any_order_of_reading(tmp_path: Path) -> None:
    for value in range(6):
        save(tmp_path / f"{value}.png", value * 40)
    source = open_source(str(tmp_path))
    for index in (3, 0, 5, 3):
        np.testing.assert_array_equal(source.read(index).picture, np.full((8, 10, 3), index * 40, np.uint8))
