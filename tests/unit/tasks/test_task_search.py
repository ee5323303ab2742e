"""Search by picture and by words."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.tasks.index import index
from chiasm.tasks.search import search

pytest.importorskip("lancedb")


@pytest.fixture
def made(encoder, folder, colours, tmp_path):
    index(encoder, folder(colours), tmp_path / "my-index")
    return tmp_path / "my-index"


def test_hits_are_ranked_by_cosine(encoder, folder, colours, made, paint) -> None:
    query = paint("query.png", (230, 12, 25))
    found = search(encoder, made, query, limit=24)
    embeddings = encoder.embed(folder(colours))
    vector = np.array([230, 12, 25]) / np.linalg.norm([230, 12, 25])
    cosines = embeddings.vectors @ vector / np.linalg.norm(embeddings.vectors, axis=1)
    expected = sorted(zip(cosines, embeddings.keys, strict=True), reverse=True)
    assert [hit.key for hit in found.hits] == [key for _, key in expected]
    np.testing.assert_allclose([hit.score for hit in found.hits], [cosine for cosine, _ in expected], atol=1e-5)
    assert [hit.rank for hit in found.hits] == list(range(1, 25))
    assert (found.num_indexed, found.source) == (24, str(colours))


def test_a_picture_of_the_index_finds_itself(encoder, colours, made) -> None:
    found = search(encoder, made, colours / "blue" / "07.png", limit=1)
    assert [hit.key for hit in found.hits] == ["blue/07.png"]
    assert found.hits[0].score == pytest.approx(1, abs=1e-6)


def test_more_hits_than_pictures(encoder, colours, made) -> None:
    assert len(search(encoder, made, colours / "red" / "00.png", limit=10**30).hits) == 24


def test_missing_index_offers_the_nearest_one(encoder, colours, made) -> None:
    with pytest.raises(InputError, match="an index at .*my-indx.* did you mean '.*my-index'"):
        search(encoder, made.with_name("my-indx"), colours / "red" / "00.png")
    with pytest.raises(InputError, match="make one with `index`"):
        search(encoder, made / "no" / "such" / "place", colours / "red" / "00.png")


def test_a_folder_that_is_no_index(encoder, colours, made) -> None:
    with pytest.raises(InputError, match="an index at .*photos, but it is none; make one"):
        search(encoder, colours, colours / "red" / "00.png")


def test_missing_query_offers_the_nearest_file(encoder, colours, made) -> None:
    with pytest.raises(InputError, match="a picture at .*red/0o.png.* did you mean '.*red/[0-9]+.png'"):
        search(encoder, made, colours / "red" / "0o.png")


def test_broken_query_and_folder_as_query(encoder, colours, made) -> None:
    bad = colours / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(BrokenPictureError, match=r"bad\.png is not one"):
        search(encoder, made, bad)
    with pytest.raises(BrokenPictureError, match="folder"):
        search(encoder, made, colours)


def test_another_model_is_refused(encoder_named, colours, made) -> None:
    with pytest.raises(InputError, match="the model colour that the index"):
        search(encoder_named("other", "f2"), made, colours / "red" / "00.png")


def test_limit_below_one(encoder, colours, made) -> None:
    with pytest.raises(InputError, match="a limit of at least 1, but 0 came"):
        search(encoder, made, colours / "red" / "00.png", limit=0)


def test_words_find_pictures(reading, folder, colours, made) -> None:
    found = search(reading, made, text="something red")
    assert (found.query, found.text, len(found.hits)) == (None, "something red", 10)
    assert {hit.key.split("/")[0] for hit in found.hits} == {"red"}
    vector = reading.text.embed(["something red"])[0]
    embedded = reading.embed(folder(colours))
    cosines = dict(zip(embedded.keys, embedded.vectors @ vector, strict=True))
    np.testing.assert_allclose([hit.score for hit in found.hits], [cosines[hit.key] for hit in found.hits], atol=1e-5)


def test_words_and_pictures_exclude_each_other(reading, encoder, colours, made) -> None:
    query = colours / "red" / "00.png"
    with pytest.raises(InputError, match="a query .* or a text .* both came; give one"):
        search(reading, made, query, text="red")
    with pytest.raises(InputError, match="a query .* or a text .* neither came; give one"):
        search(reading, made)
    with pytest.raises(
        InputError, match="a model that reads text, but colour sees pictures only; search with a picture"
    ):
        search(encoder, made, text="red")
    with pytest.raises(InputError, match="words to search for, but an empty text came"):
        search(reading, made, text=" ")
