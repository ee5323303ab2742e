"""Duplicates: groups, which picture to keep, and a threshold that the model itself gives."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from chiasm.core.errors import InputError
from chiasm.core.seeds import stream
from chiasm.evaluate import RawPixels
from chiasm.tasks._threshold import Altered, brightened, cut, resaved
from chiasm.tasks.duplicates import duplicates


@pytest.fixture
def photos(tmp_path):
    """Twenty pictures of coloured patches, none like another."""
    (tmp_path / "photos").mkdir()
    for number in range(20):
        patches = stream(1, "photos", number).integers(0, 256, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(patches).resize((160, 120), Image.Resampling.BICUBIC).save(
            tmp_path / "photos" / f"{number:02}.png"
        )
    return tmp_path / "photos"


def resave(path, new, size=None) -> None:
    with Image.open(path) as image:
        (image if size is None else image.resize(size)).save(new)


def test_copies_of_all_kinds_are_found_and_nothing_else(folder, photos) -> None:
    shutil.copy(photos / "03.png", photos / "z-copy.png")
    resave(photos / "03.png", photos / "z-small.png", (80, 60))
    resave(photos / "07.png", photos / "a-large.png", (320, 240))
    record = duplicates(RawPixels(), folder(photos))
    assert [(one.group, one.key, one.keep, one.copy_of) for one in record.duplicates] == [
        (1, "03.png", True, None),
        (1, "z-copy.png", False, "03.png"),
        (1, "z-small.png", False, None),
        (2, "a-large.png", True, None),
        (2, "07.png", False, None),
    ]
    assert (record.num_pictures, record.num_groups, record.num_surplus, record.num_identical) == (23, 2, 3, 1)
    assert [(one.width_px, one.height_px) for one in record.duplicates][2:4] == [(80, 60), (320, 240)]
    assert record.duplicates[0].score == 1
    assert all(one.score >= record.threshold - 1e-6 for one in record.duplicates)


def test_the_threshold_is_measured_on_altered_copies(folder, photos) -> None:
    model, source = RawPixels(), folder(photos)
    record = duplicates(model, source)
    originals = model.embed(source).vectors
    cosines = []
    for alteration in (resaved, cut, brightened):
        for row, path in enumerate(sorted(photos.iterdir())):
            with Image.open(path) as image:
                altered = alteration(np.asarray(image.convert("RGB")))
            Image.fromarray(altered).save(photos.parent / "altered.png")
            shutil.rmtree(photos.parent / "one", ignore_errors=True)
            (photos.parent / "one").mkdir()
            (photos.parent / "altered.png").rename(photos.parent / "one" / "altered.png")
            cosines.append(float(model.embed(folder(photos.parent / "one")).vectors[0] @ originals[row]))
    assert record.threshold == pytest.approx(np.quantile(cosines, 0.05, method="lower"), abs=1e-6)
    assert record.threshold_from == "measured"
    assert record.found_altered == pytest.approx(0.95, abs=0.02)
    assert record.alike_by_chance == 0
    assert record.num_groups == 0


def test_a_given_threshold_is_taken_and_judged(folder, photos) -> None:
    resave(photos / "03.png", photos / "z-small.png", (80, 60))
    strict = duplicates(RawPixels(), folder(photos), threshold=1.0)
    assert (strict.num_groups, strict.threshold_from, strict.threshold) == (0, "given", 1.0)
    assert strict.found_altered < 0.5
    loose = duplicates(RawPixels(), folder(photos), threshold=-1.0)
    assert (loose.num_groups, loose.num_surplus) == (1, 20)
    assert (loose.found_altered, loose.alike_by_chance) == (1, 1)


def test_groups_go_by_chains_and_the_largest_comes_first(encoder, folder, paint, tmp_path) -> None:
    # Twelve steps of 4 degrees from red to green, and two alike in blue.
    for number in range(13):
        angle = np.deg2rad(10 + 4 * number)
        paint(f"chain/b{number:02}.png", (round(250 * np.cos(angle)), round(250 * np.sin(angle)), 0))
    paint("chain/a0.png", (0, 0, 250))
    paint("chain/a1.png", (0, 5, 250))
    record = duplicates(encoder, folder(tmp_path / "chain"), threshold=float(np.cos(np.deg2rad(5))))
    assert [one.group for one in record.duplicates] == [1] * 13 + [2] * 2
    scores = [one.score for one in record.duplicates[:13]]
    assert scores == sorted(scores, reverse=True)
    # The ends of a chain are less alike than the threshold, and are told with their cosine.
    assert scores[-1] < record.threshold


def test_exact_copies_of_one_another_are_told_also_beside_a_larger_picture(folder, photos) -> None:
    resave(photos / "05.png", photos / "b1.png", (80, 60))
    shutil.copy(photos / "b1.png", photos / "b2.png")
    source = folder(photos)
    whole, read = source.read, []
    source.read = lambda index, min_side_px=None: (
        read.append((source.key(index), min_side_px)) or whole(index, min_side_px)
    )
    record = duplicates(RawPixels(), source, threshold=0.9)
    assert [(one.key, one.copy_of) for one in record.duplicates] == [
        ("05.png", None),
        ("b1.png", None),
        ("b2.png", "b1.png"),
    ]
    # Each of them is altered in three ways, and one tells the size of both.
    assert len([key for key, side in read if side is None and key in ("b1.png", "b2.png")]) == 7


def test_groups_to_a_table(folder, photos, tmp_path) -> None:
    shutil.copy(photos / "03.png", photos / "z-copy.png")
    record = duplicates(RawPixels(), folder(photos), out=tmp_path / "groups.csv")
    assert (record.duplicates, record.num_groups) == ((), 1)
    with (tmp_path / "groups.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["keep"], row["copy_of"]) for row in rows] == [
        ("03.png", "true", ""),
        ("z-copy.png", "false", "03.png"),
    ]


def test_broken_pictures_are_told(folder, photos) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    record = duplicates(RawPixels(), folder(photos))
    assert (list(record.skipped), record.num_pictures) == (["bad.png"], 20)


@pytest.mark.parametrize("threshold", [1.5, -2.0, float("nan")])
def test_a_threshold_that_is_no_cosine(encoder, folder, colours, threshold: float) -> None:
    with pytest.raises(InputError, match="a threshold from -1 to 1"):
        duplicates(encoder, folder(colours), threshold)
    assert encoder.seen == []


def test_bad_input_is_told_in_one_line(encoder, folder, paint, colours, tmp_path) -> None:
    with pytest.raises(InputError, match=r"ending in \.csv or \.parquet"):
        duplicates(encoder, folder(colours), out=tmp_path / "a.txt")
    paint("one/a.png", (1, 2, 3))
    with pytest.raises(InputError, match="at least two pictures to compare"):
        duplicates(encoder, folder(tmp_path / "one"))


def test_an_altered_picture_is_another_content_under_the_same_key(folder, photos) -> None:
    source = folder(photos)
    altered, other = Altered(source, cut), Altered(source, brightened)
    assert altered.key(3) == source.key(3)
    assert len({source.digest(3), altered.digest(3), other.digest(3)}) == 3
    assert altered.read(3, 16).picture.shape == (112, 150, 3)


def test_alterations_do_what_they_say() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 100:] = 100
    assert resaved(picture).shape == (50, 100, 3)
    assert abs(int(resaved(picture)[25, 90, 0]) - 100) <= 3
    assert cut(picture).shape == (94, 188, 3)
    assert (cut(picture) == picture[3:97, 6:194]).all()
    assert brightened(np.full((1, 1, 3), 240, np.uint8)).tolist() == [[[255, 255, 255]]]
    assert brightened(picture)[0, 150, 0] == 115
    assert resaved(picture[:1, :1]).shape == cut(picture[:1, :1]).shape == (1, 1, 3)
