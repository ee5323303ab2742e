"""Similar: neighbours of one picture and of all, without an index."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from pyarrow import parquet

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.tasks.similar import similar


def test_neighbours_of_each_picture_are_those_of_the_whole_matrix(encoder, folder, colours) -> None:
    record = similar(encoder, folder(colours), limit=3)
    embeddings = encoder.embed(folder(colours))
    cosines = embeddings.vectors @ embeddings.vectors.T
    np.fill_diagonal(cosines, -np.inf)
    best = -np.sort(-cosines, axis=1)[:, :3]
    assert (record.num_pictures, record.query, len(record.neighbours)) == (24, None, 72)
    assert [one.key for one in record.neighbours] == [key for key in embeddings.keys for _ in range(3)]
    assert [one.rank for one in record.neighbours] == [1, 2, 3] * 24
    np.testing.assert_allclose([one.score for one in record.neighbours], best.ravel(), atol=1e-6)
    place = {key: row for row, key in enumerate(embeddings.keys)}
    for one in record.neighbours:
        assert one.key != one.neighbour
        assert one.score == pytest.approx(cosines[place[one.key], place[one.neighbour]], abs=1e-6)


def test_a_query_from_elsewhere_finds_its_nearest(encoder, folder, colours, paint) -> None:
    query = paint("query.png", (230, 12, 25))
    record = similar(encoder, folder(colours), query, limit=4)
    embeddings = encoder.embed(folder(colours))
    cosines = embeddings.vectors @ (np.array([230, 12, 25]) / np.linalg.norm([230, 12, 25]))
    assert [one.neighbour for one in record.neighbours] == [embeddings.keys[row] for row in np.argsort(-cosines)[:4]]
    assert {one.key for one in record.neighbours} == {str(query)}
    np.testing.assert_allclose([one.score for one in record.neighbours], -np.sort(-cosines)[:4], atol=1e-6)


def test_a_query_from_the_folder_does_not_find_itself_but_its_copies(encoder, folder, colours, monkeypatch) -> None:
    query = colours / "red" / "03.png"
    shutil.copy(query, colours / "blue" / "copy.png")
    record = similar(encoder, folder(colours), query, limit=30)
    assert record.neighbours[0].neighbour == "blue/copy.png"
    assert record.neighbours[0].score == pytest.approx(1, abs=1e-6)
    assert "red/03.png" not in [one.neighbour for one in record.neighbours]
    assert len(record.neighbours) == 24
    monkeypatch.chdir(colours / "red")
    again = similar(encoder, folder(colours), type(query)("03.png"), limit=30)
    assert [one.neighbour for one in again.neighbours] == [one.neighbour for one in record.neighbours]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_pairs_to_a_table(encoder, folder, colours, tmp_path, suffix: str) -> None:
    told = similar(encoder, folder(colours), limit=2).neighbours
    record = similar(encoder, folder(colours), limit=2, out=tmp_path / f"pairs{suffix}")
    assert record.neighbours == ()
    if suffix == ".csv":
        with (tmp_path / "pairs.csv").open() as file:
            rows = list(csv.DictReader(file))
    else:
        rows = parquet.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert [(row["key"], int(row["rank"]), row["neighbour"], float(row["score"])) for row in rows] == [
        (one.key, one.rank, one.neighbour, one.score) for one in told
    ]


def test_bad_input_is_told_in_one_line(encoder, folder, colours, paint, tmp_path) -> None:
    source = folder(colours)
    with pytest.raises(InputError, match="a limit of at least 1"):
        similar(encoder, source, limit=0)
    with pytest.raises(InputError, match=r"ending in \.csv or \.parquet"):
        similar(encoder, source, out=tmp_path / "a.npz")
    with pytest.raises(InputError, match="a picture at .*did you mean '.*red/[0-9]+.png'"):
        similar(encoder, source, colours / "red" / "0o.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(BrokenPictureError, match=r"bad\.png is not one"):
        similar(encoder, source, bad)
    assert encoder.seen == []
    paint("one/a.png", (1, 2, 3))
    with pytest.raises(InputError, match="at least two pictures to compare, but .*one has 1"):
        similar(encoder, folder(tmp_path / "one"))
    assert similar(encoder, folder(tmp_path / "one"), colours / "red" / "00.png").num_pictures == 1
