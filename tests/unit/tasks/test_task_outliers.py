"""Outliers: what lies apart, how odd that is, and labels that the neighbours contradict."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.tasks.outliers import outliers


def test_a_picture_unlike_the_rest_comes_first_and_is_odd(encoder, folder, colours, paint) -> None:
    paint("photos/green.png", (0, 255, 0))
    record = outliers(encoder, folder(colours), neighbours=5, limit=3)
    first, second, _ = record.outliers
    assert (first.key, first.label) == ("green.png", None)
    assert first.z > 10 * second.z > 0
    embeddings = encoder.embed(folder(colours))
    cosines = embeddings.vectors @ embeddings.vectors.T
    np.fill_diagonal(cosines, -np.inf)
    scores = 1 - (-np.sort(-cosines, axis=1)[:, :5]).mean(axis=1)
    spread = 1.4826 * np.median(np.abs(scores - np.median(scores)))
    assert record.num_odd == ((scores - np.median(scores)) / spread > 3.5).sum() < 5
    row = embeddings.keys.index("green.png")
    assert first.score == pytest.approx(scores[row], abs=1e-6)
    assert first.z == pytest.approx((scores[row] - np.median(scores)) / spread, rel=1e-3)
    assert first.nearest == embeddings.keys[int(cosines[row].argmax())]
    assert [one.score for one in record.outliers] == sorted((one.score for one in record.outliers), reverse=True)


def test_where_all_are_alike_something_comes_first_and_nothing_is_odd(encoder, folder, paint, tmp_path) -> None:
    for number in range(12):
        paint(f"same/{number}.png", (100, 100, 100))
    record = outliers(encoder, folder(tmp_path / "same"))
    assert (record.num_odd, len(record.outliers)) == (0, 12)


def test_labels_that_the_neighbours_contradict_are_suspects(encoder, folder, colours, paint) -> None:
    paint("photos/blue/wrong.png", (230, 10, 20))
    paint("photos/red/mixed.png", (120, 10, 110))
    record = outliers(encoder, folder(colours), neighbours=5)
    assert (record.num_suspects, [one.key for one in record.suspects][0]) == (len(record.suspects), "blue/wrong.png")
    wrong = record.suspects[0]
    assert (wrong.label, wrong.looks_like, wrong.share) == ("blue", "red", 1)
    assert all(one.share > 0.5 and one.label != one.looks_like for one in record.suspects)
    assert outliers(encoder, folder(colours), neighbours=5, limit=1).suspects == record.suspects[:1]


def test_pictures_without_classes_have_no_suspects(encoder, folder, paint, tmp_path) -> None:
    for number in range(5):
        paint(f"flat/{number}.png", (50 * number, 100, 100))
    record = outliers(encoder, folder(tmp_path / "flat"))
    assert (record.num_suspects, record.suspects) == (0, ())
    # There are only four others.
    assert record.neighbours == 4


def test_every_picture_to_a_table(encoder, folder, colours, paint, tmp_path) -> None:
    paint("photos/blue/wrong.png", (230, 10, 20))
    record = outliers(encoder, folder(colours), neighbours=5, limit=2, out=tmp_path / "odd.csv")
    assert (record.outliers, record.suspects, record.num_suspects) == ((), (), 1)
    with (tmp_path / "odd.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    assert [float(row["score"]) for row in rows] == sorted((float(row["score"]) for row in rows), reverse=True)
    (wrong,) = [row for row in rows if row["key"] == "blue/wrong.png"]
    assert (wrong["label"], wrong["looks_like"], float(wrong["share"])) == ("blue", "red", 1)


def test_bad_input_is_told_in_one_line(encoder, folder, colours, paint, tmp_path) -> None:
    source = folder(colours)
    with pytest.raises(InputError, match="at least one neighbour"):
        outliers(encoder, source, neighbours=0)
    with pytest.raises(InputError, match="at least one picture to tell"):
        outliers(encoder, source, limit=0)
    with pytest.raises(InputError, match=r"ending in \.csv or \.parquet"):
        outliers(encoder, source, out=tmp_path / "a")
    assert encoder.seen == []
    paint("one/a.png", (1, 2, 3))
    with pytest.raises(InputError, match="at least two pictures to compare, but .*one has 1"):
        outliers(encoder, folder(tmp_path / "one"))
