"""The life of an index: made, brought up to date, interrupted, damaged, refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from chiasm.core.errors import BrokenPictureError, InputError, MissingExtraError, TooManyBrokenError
from chiasm.tasks import _vector_table
from chiasm.tasks import index as index_module
from chiasm.tasks.index import index
from chiasm.tasks.search import search

pytest.importorskip("lancedb")


def test_first_run_embeds_all_second_run_nothing(encoder, folder, colours, tmp_path) -> None:
    first = index(encoder, folder(colours), tmp_path / "idx")
    assert (first.num_pictures, first.num_added, first.num_unchanged) == (24, 24, 0)
    assert len(encoder.seen) == 24
    second = index(encoder, folder(colours), tmp_path / "idx")
    assert len(encoder.seen) == 24
    assert (second.num_pictures, second.num_added, second.num_unchanged) == (24, 0, 24)


def test_only_what_changed_is_embedded_again(encoder, folder, colours, paint, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    encoder.seen.clear()
    paint("photos/red/00.png", (0, 255, 0))
    paint("photos/green/new.png", (0, 250, 0))
    (colours / "blue" / "03.png").unlink()
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert sorted(encoder.seen) == ["green/new.png", "red/00.png"]
    assert (record.num_added, record.num_changed, record.num_removed) == (1, 1, 1)
    assert (record.num_pictures, record.num_unchanged) == (24, 22)
    query = paint("query.png", (0, 255, 0))
    found = search(encoder, tmp_path / "idx", query, limit=24)
    assert [hit.key for hit in found.hits[:2]] in (["green/new.png", "red/00.png"], ["red/00.png", "green/new.png"])
    assert "blue/03.png" not in [hit.key for hit in found.hits]


def test_what_is_moved_or_copied_is_found_there_and_never_embedded_again(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    (colours / "old").mkdir()
    (colours / "red" / "00.png").rename(colours / "old" / "renamed.png")
    shutil.copy(colours / "blue" / "00.png", colours / "old" / "copy.png")
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert len(encoder.seen) == 24
    assert (record.num_moved, record.num_added, record.num_removed, record.num_unchanged) == (1, 1, 0, 23)
    assert (record.num_pictures, record.num_duplicates, record.num_embedded) == (25, 1, 0)
    (hit,) = search(encoder, tmp_path / "idx", colours / "old" / "renamed.png", limit=1).hits
    assert (hit.key, hit.copies) == ("old/renamed.png", ())
    found = search(encoder, tmp_path / "idx", colours / "old" / "copy.png", limit=24)
    assert (found.hits[0].key, found.hits[0].copies) == ("blue/00.png", ("old/copy.png",))
    assert (found.num_indexed, len(found.hits)) == (24, 24)


def test_the_same_content_is_decoded_and_embedded_once(encoder, folder, colours, tmp_path) -> None:
    for number in range(3):
        shutil.copy(colours / "red" / "05.png", colours / f"copy{number}.png")
    source = folder(colours)
    read, whole = [], source.read
    source.read = lambda index, min_side_px=None: read.append(source.key(index)) or whole(index, min_side_px)
    first = index(encoder, source, tmp_path / "idx")
    assert (first.num_pictures, first.num_duplicates, first.num_embedded, first.num_added) == (27, 3, 24, 27)
    # A look at each content, and its embedding.
    assert len(read) == 48
    (colours / "red" / "05.png").unlink()
    second = index(encoder, folder(colours), tmp_path / "idx")
    assert (second.num_pictures, second.num_duplicates, second.num_removed, second.num_embedded) == (26, 2, 1, 0)
    (hit,) = search(encoder, tmp_path / "idx", colours / "copy1.png", limit=1).hits
    assert {hit.key, *hit.copies} == {"copy0.png", "copy1.png", "copy2.png"}


def test_files_that_swap_names_are_noticed(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    one, other = colours / "red" / "00.png", colours / "blue" / "00.png"
    one.rename(tmp_path / "aside.png")
    other.rename(one)
    (tmp_path / "aside.png").rename(other)
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert (record.num_changed, record.num_unchanged, record.num_embedded) == (2, 22, 0)
    (hit,) = search(encoder, tmp_path / "idx", one, limit=1).hits
    assert hit.key == "red/00.png"


def test_copies_of_a_broken_picture_are_all_told(encoder, folder, colours, tmp_path) -> None:
    for name in ("a", "b"):
        (colours / f"{name}.png").write_bytes(b"no picture")
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert sorted(record.skipped) == ["a.png", "b.png"]
    assert (record.num_pictures, record.num_duplicates) == (24, 0)


def test_what_breaks_between_the_look_and_the_embedding_is_told_with_its_copies(
    encoder, folder, colours, tmp_path
) -> None:
    shutil.copy(colours / "red" / "00.png", colours / "zz.png")
    source = folder(colours)
    whole = source.read

    def failing(index: int, min_side_px: int | None = None):
        if min_side_px == 16 and source.key(index) == "red/00.png":
            raise BrokenPictureError("red/00.png", "the disk went away")
        return whole(index, min_side_px)

    source.read = failing
    record = index(encoder, source, tmp_path / "idx")
    assert record.skipped == {"red/00.png": "the disk went away", "zz.png": "the disk went away"}
    assert (record.num_pictures, record.num_added, record.num_embedded) == (23, 23, 23)
    mended = index(encoder, folder(colours), tmp_path / "idx")
    assert (mended.num_pictures, mended.num_added, mended.num_duplicates) == (25, 2, 1)


@pytest.mark.parametrize("step", ["remove", "place", "put", "compact"])
def test_an_interruption_at_any_step_leaves_an_index_that_is_true(
    encoder, folder, colours, paint, tmp_path, monkeypatch, step: str
) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    (colours / "red" / "00.png").rename(colours / "red" / "99.png")
    shutil.copy(colours / "blue" / "01.png", colours / "red" / "01.png")
    (colours / "blue" / "02.png").unlink()
    paint("photos/green/new.png", (0, 250, 0))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_vector_table.VectorTable, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            index(encoder, folder(colours), tmp_path / "idx")
    table = _vector_table.open_table(tmp_path / "idx")
    assert table is not None
    keys = [key for keys in table.contents().values() for key in keys]
    assert len(keys) == len(set(keys))
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert (record.num_pictures, record.num_duplicates) == (24, 1)
    source = folder(colours)
    after = {key: digest for digest, keys in table_contents(tmp_path / "idx").items() for key in keys}
    assert after == {source.key(position): source.digest(position) for position in range(24)}


def table_contents(path: Path) -> dict[str, tuple[str, ...]]:
    table = _vector_table.open_table(path)
    assert table is not None
    return table.contents()


def test_an_index_of_an_earlier_version_is_told_as_such(encoder, folder, colours, tmp_path) -> None:
    import lancedb
    import pyarrow

    metadata = {"model": "colour", "fingerprint": "f1", "source": str(colours)}
    fields = [pyarrow.field("key", pyarrow.string()), pyarrow.field("digest", pyarrow.string())]
    lancedb.connect(tmp_path / "idx").create_table("pictures", schema=pyarrow.schema(fields, metadata=metadata))
    with pytest.raises(InputError, match="made by an earlier version of chiasm; remove the folder and index again"):
        index(encoder, folder(colours), tmp_path / "idx")
    with pytest.raises(InputError, match="earlier version"):
        search(encoder, tmp_path / "idx", colours / "red" / "00.png")


def test_a_touched_file_with_the_same_bytes_is_not_new(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    os.utime(colours / "red" / "00.png", (1, 1))
    index(encoder, folder(colours), tmp_path / "idx")
    assert len(encoder.seen) == 24


def test_same_size_and_time_but_other_bytes_is_new(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    path, other = colours / "red" / "00.png", colours / "red" / "01.png"
    status = path.stat()
    data = other.read_bytes()
    path.write_bytes(data)
    os.utime(path, (status.st_atime, status.st_mtime))
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert record.num_changed == 1


def test_nothing_is_decoded_but_what_is_new_or_changed(encoder, folder, colours, paint, tmp_path) -> None:
    source = folder(colours)
    index(encoder, source, tmp_path / "idx")
    read, whole = [], source.read
    source.read = lambda index, min_side_px=None: read.append(source.key(index)) or whole(index, min_side_px)
    paint("photos/red/00.png", (0, 255, 0))
    record = index(encoder, source, tmp_path / "idx")
    assert (record.num_changed, record.num_unchanged) == (1, 23)
    assert set(read) == {"red/00.png"}


def test_a_broken_picture_is_reported_every_time_and_never_too_many(encoder, folder, colours, tmp_path) -> None:
    bad = colours / "red" / "bad.png"
    bad.write_bytes(b"no picture")
    first = index(encoder, folder(colours), tmp_path / "idx")
    # The only picture that is not known is the broken one: all of what is new is broken, but not much of the source.
    second = index(encoder, folder(colours), tmp_path / "idx")
    assert list(first.skipped) == list(second.skipped) == ["red/bad.png"]
    assert (second.num_pictures, second.num_added, second.num_unchanged) == (24, 0, 24)


def test_a_picture_that_breaks_leaves_the_index_and_returns_when_mended(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    path = colours / "red" / "05.png"
    data = path.read_bytes()
    path.write_bytes(data[:40])
    broken = index(encoder, folder(colours), tmp_path / "idx")
    assert (broken.num_pictures, broken.num_removed, list(broken.skipped)) == (23, 1, ["red/05.png"])
    path.write_bytes(data)
    mended = index(encoder, folder(colours), tmp_path / "idx")
    assert (mended.num_pictures, mended.num_added) == (24, 1)


def test_mostly_broken_sources_are_refused_before_any_work(encoder, folder, colours, tmp_path) -> None:
    for path in sorted((colours / "red").iterdir())[:6]:
        path.write_bytes(b"no picture")
    with pytest.raises(TooManyBrokenError, match="6 of 24"):
        index(encoder, folder(colours), tmp_path / "idx")
    assert encoder.seen == []
    assert not (tmp_path / "idx").exists()


def test_an_interrupted_run_is_taken_up_where_it_was(encoder, folder, colours, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index_module, "_PICTURES_PER_COMMIT", 5)
    whole = encoder.embed

    def interrupted(source):
        if len(encoder.seen) >= 15:
            raise KeyboardInterrupt
        return whole(source)

    encoder.embed = interrupted
    with pytest.raises(KeyboardInterrupt):
        index(encoder, folder(colours), tmp_path / "idx")
    encoder.embed = whole
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert (record.num_added, record.num_unchanged, record.num_pictures) == (9, 15, 24)
    assert len(encoder.seen) == len(set(encoder.seen)) == 24


def test_what_an_interrupted_start_leaves_is_no_obstacle(encoder, folder, colours, tmp_path) -> None:
    (tmp_path / "idx" / "pictures.lance" / "data").mkdir(parents=True)
    (tmp_path / "idx" / "pictures.lance" / "data" / "half.lance").write_bytes(b"half")
    assert index(encoder, folder(colours), tmp_path / "idx").num_pictures == 24


def test_keys_with_quotes_can_be_removed(encoder, folder, colours, paint, tmp_path) -> None:
    awkward = paint('photos/red/it\'s "odd" -- %.png', (1, 2, 3))
    index(encoder, folder(colours), tmp_path / "idx")
    awkward.unlink()
    record = index(encoder, folder(colours), tmp_path / "idx")
    assert (record.num_removed, record.num_pictures) == (1, 24)


def test_another_model_is_refused(encoder, encoder_named, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    with pytest.raises(InputError, match="the model colour .* but other came; use colour"):
        index(encoder_named("other", "f2"), folder(colours), tmp_path / "idx")
    with pytest.raises(InputError, match="its weights or preprocessing have changed"):
        index(encoder_named("colour", "f2"), folder(colours), tmp_path / "idx")


def test_another_source_is_refused_but_another_spelling_is_not(
    encoder, folder, colours, paint, tmp_path, monkeypatch
) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    paint("elsewhere/a.png", (1, 1, 1))
    with pytest.raises(InputError, match="elsewhere came; index it into another folder"):
        index(encoder, folder(tmp_path / "elsewhere"), tmp_path / "idx")
    monkeypatch.chdir(tmp_path)
    assert index(encoder, folder(Path("photos")), Path("idx")).num_unchanged == 24


def test_places_that_are_no_index_are_refused(encoder, folder, colours, tmp_path) -> None:
    with pytest.raises(InputError, match="an index or an empty folder"):
        index(encoder, folder(colours), colours)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a folder for the index"):
        index(encoder, folder(colours), tmp_path / "file")


def test_an_empty_source_does_not_empty_the_index(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    shutil.rmtree(colours)
    colours.mkdir()
    with pytest.raises(InputError, match="at least one picture"):
        index(encoder, folder(colours), tmp_path / "idx")


def test_a_damaged_index_is_told_in_one_line(encoder, folder, colours, tmp_path) -> None:
    index(encoder, folder(colours), tmp_path / "idx")
    for manifest in (tmp_path / "idx" / "pictures.lance" / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"junk")
    with pytest.raises(InputError, match="LanceDB cannot.*index again") as caught:
        index(encoder, folder(colours), tmp_path / "idx")
    assert "\n" not in str(caught.value)


def test_a_missing_library_names_the_extra(encoder, folder, colours, tmp_path, monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(_vector_table.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"chiasm\[search\]"):
        index(encoder, folder(colours), tmp_path / "idx")
