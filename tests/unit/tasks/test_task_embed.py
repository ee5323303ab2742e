"""Embed: what is written can be read back, and nothing is written when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chiasm.core.errors import InputError, TooManyBrokenError
from chiasm.tasks.embed import embed


def test_npz_holds_everything(encoder, folder, colours, tmp_path) -> None:
    (colours / "red" / "bad.png").write_bytes(b"no picture")
    record = embed(encoder, folder(colours), tmp_path / "new" / "v.npz")
    with np.load(record.out, allow_pickle=False) as arrays:
        assert arrays["vectors"].shape == (24, 3)
        assert arrays["vectors"].dtype == np.float32
        assert arrays["keys"][0] == "blue/00.png"
        assert arrays["labels"].tolist() == [0] * 12 + [1] * 12
        assert arrays["classes"].tolist() == ["blue", "red"]
        assert arrays["fingerprint"] == "f1"
        assert arrays["model"] == "colour"
        assert arrays["skipped"][0, 0] == "red/bad.png"
    assert record.num_pictures == 24
    assert list(record.skipped) == ["red/bad.png"]
    assert json.loads(record.model_dump_json())["embed_dim"] == 3


def test_parquet_holds_everything(encoder, folder, colours, tmp_path) -> None:
    from pyarrow import parquet

    record = embed(encoder, folder(colours), tmp_path / "v.parquet")
    table = parquet.read_table(record.out)
    assert table["key"].to_pylist()[0] == "blue/00.png"
    assert table["class"].to_pylist() == ["blue"] * 12 + ["red"] * 12
    assert table["label"].to_pylist() == [0] * 12 + [1] * 12
    expected = np.array([200, 0, 20]) / np.linalg.norm([200, 0, 20])
    np.testing.assert_allclose(table["vector"].to_pylist()[12], expected, atol=1e-6)
    shared = json.loads(table.schema.metadata[b"chiasm"])
    assert (shared["fingerprint"], shared["classes"]) == ("f1", ["blue", "red"])


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_pictures_without_classes(encoder, folder, paint, tmp_path, suffix: str) -> None:
    paint("flat/a.png", (1, 2, 3))
    record = embed(encoder, folder(tmp_path / "flat"), tmp_path / f"v{suffix}")
    assert record.out.exists()
    assert record.classes == ()


def test_an_existing_file_is_replaced_and_no_part_is_left(encoder, folder, colours, tmp_path) -> None:
    out = tmp_path / "v.npz"
    out.write_text("old")
    embed(encoder, folder(colours), out)
    assert np.load(out)["keys"].shape == (24,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "v.npz"]


@pytest.mark.parametrize("name", ["v.csv", "v", "v.NPY"])
def test_unknown_suffix_names_both_before_any_work(encoder, folder, colours, tmp_path, name: str) -> None:
    with pytest.raises(InputError, match=r"ending in \.npz or \.parquet.*came|there is none") as caught:
        embed(encoder, folder(colours), tmp_path / name)
    assert "\n" not in str(caught.value)
    assert encoder.seen == []


def test_a_folder_in_the_way(encoder, folder, colours, tmp_path) -> None:
    (tmp_path / "v.npz").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        embed(encoder, folder(colours), tmp_path / "v.npz")


def test_a_failed_run_leaves_the_old_file(encoder, folder, colours, tmp_path) -> None:
    out = tmp_path / "v.npz"
    out.write_text("old")
    for path in colours.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(TooManyBrokenError):
        embed(encoder, folder(colours), out)
    assert out.read_text() == "old"
