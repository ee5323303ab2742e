"""Vectors that are made once: same bits, copies, broken pictures, interrupts, two at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from drawn import draw_pictures
from PIL import Image

from chiasm.core.errors import InputError, TooManyBrokenError
from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings, Encoder, TextEncoder
from chiasm.data import remembered
from chiasm.data.open import open_source
from chiasm.data.remembered import Remembered
from chiasm.data.vector_store import VectorStore, content_key
from chiasm.evaluate import RawPixels


class Counted:
    """Raw pixels, and how often they were asked for what; vectors depend a little on who is encoded together."""

    def __init__(self, fingerprint: str = "counted") -> None:
        self._inner = RawPixels(4)
        self.name, self.fingerprint, self.embed_dim = "counted", fingerprint, self._inner.embed_dim
        self.text: CountedText | None = CountedText()
        self.own_classes = None
        self.asked: list[int] = []

    def embed(self, source: Source) -> Embeddings:
        self.asked.append(len(source))
        found = self._inner.embed(source)
        noisy = (found.vectors + np.float32(1e-6 * len(source))).astype(np.float32)
        return Embeddings(noisy, found.norms, found.keys, found.labels, found.classes, found.skipped)


class CountedText:
    """Length and first letter of a text; remembers what it was asked."""

    def __init__(self, fingerprint: str = "letters") -> None:
        self.logit_scale, self.fingerprint = 10.0, fingerprint
        self.logit_bias: float | None = None
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        found = np.zeros((len(texts), 48), np.float32)
        for row, text in zip(found, texts, strict=True):
            row[len(text)], row[-1] = 1, 1e-3 * len(texts)
        return found


@pytest.fixture
def store(tmp_path) -> VectorStore:
    return VectorStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path):
    return draw_pictures(tmp_path / "pictures", 5)


def same(one: Embeddings, other: Embeddings) -> bool:
    arrays = [(one.vectors, other.vectors), (one.norms, other.norms), (one.labels, other.labels)]
    rest = (one.keys, one.classes, one.skipped) == (other.keys, other.classes, other.skipped)
    return rest and all(np.array_equal(mine, theirs) for mine, theirs in arrays)


def test_pictures_are_encoded_once_and_the_bits_stay(store, folder) -> None:
    source = open_source(str(folder))
    first, second = Counted(), Counted()
    cold = Remembered(first, store).embed(source)
    warm = Remembered(second, VectorStore(store.folder)).embed(source)
    assert (first.asked, second.asked) == ([15], [])
    assert same(cold, warm)
    plain = Counted().embed(source)
    assert same(cold, plain)
    assert isinstance(Remembered(first, store), Encoder)


def test_only_new_content_is_encoded_wherever_it_lies(store, folder, tmp_path) -> None:
    Remembered(Counted(), store).embed(open_source(str(folder)))
    moved = tmp_path / "moved"
    folder.rename(moved)
    Image.new("RGB", (40, 40), (1, 2, 3)).save(moved / "red" / "new.png")
    (moved / "blue" / "copy.png").write_bytes((moved / "red" / "00.png").read_bytes())
    model = Counted()
    found = Remembered(model, store).embed(open_source(str(moved)))
    assert model.asked == [1]
    assert len(found.keys) == 17
    rows = dict(zip(found.keys, found.vectors, strict=True))
    assert np.array_equal(rows["blue/copy.png"], rows["red/00.png"])


def test_copies_have_the_same_bits_from_the_start(store, folder) -> None:
    (folder / "blue" / "copy.png").write_bytes((folder / "red" / "00.png").read_bytes())
    model = Counted()
    found = Remembered(model, store).embed(open_source(str(folder)))
    assert model.asked == [15]
    rows = dict(zip(found.keys, found.vectors, strict=True))
    assert np.array_equal(rows["blue/copy.png"], rows["red/00.png"])


def test_models_do_not_mix(store, folder) -> None:
    source = open_source(str(folder))
    Remembered(Counted("one"), store).embed(source)
    other = Counted("other")
    Remembered(other, store).embed(source)
    assert other.asked == [15]


def test_broken_pictures_are_remembered_too(store, folder) -> None:
    (folder / "red" / "00.png").write_bytes(b"no picture")
    source = open_source(str(folder))
    cold = Remembered(Counted(), store).embed(source)
    model = Counted()
    warm = Remembered(model, store).embed(source)
    assert model.asked == []
    assert same(cold, warm)
    assert [key for key, _ in warm.skipped] == ["red/00.png"]
    assert cold.skipped == Counted().embed(source).skipped


def test_too_many_broken_pictures_fail_cold_and_warm(store, folder) -> None:
    for number in range(2):
        (folder / "red" / f"0{number}.png").write_bytes(b"no picture" + bytes([number]))
    source = open_source(str(folder))
    for _ in range(2):
        with pytest.raises(TooManyBrokenError, match="2 of 15"):
            Remembered(Counted(), store).embed(source)


def test_few_broken_pictures_among_new_ones_are_few_of_all(store, folder) -> None:
    Remembered(Counted(), store).embed(open_source(str(folder)))
    (folder / "red" / "new.png").write_bytes(b"no picture")
    model = Counted()
    # The new picture alone is all broken; of all sixteen it is one.
    found = Remembered(model, store).embed(open_source(str(folder)))
    assert model.asked == [1, 16]
    assert [key for key, _ in found.skipped] == ["red/new.png"]
    again = Counted()
    assert same(Remembered(again, store).embed(open_source(str(folder))), found)
    assert again.asked == []


def test_an_interrupted_run_goes_on(store, folder, monkeypatch) -> None:
    monkeypatch.setattr(remembered, "_FIRST_PIECE", 4)
    source = open_source(str(folder))

    class Stopped(Counted):
        def embed(self, source: Source) -> Embeddings:
            if self.asked:
                raise KeyboardInterrupt
            return super().embed(source)

    with pytest.raises(KeyboardInterrupt):
        Remembered(Stopped(), store).embed(source)
    assert not list(store.folder.rglob("*.part"))
    model = Counted()
    found = Remembered(model, store).embed(source)
    assert model.asked == [4, 7]
    assert same(found, Remembered(Counted(), store).embed(source))


def test_two_at_once_do_no_harm(store, folder) -> None:
    source = open_source(str(folder))
    together = threading.Barrier(2)

    class Waiting(Counted):
        def embed(self, source: Source) -> Embeddings:
            together.wait(timeout=30)
            return super().embed(source)

    found: list[Embeddings] = []
    threads = [threading.Thread(target=lambda: found.append(Remembered(Waiting(), store).embed(source))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert same(found[0], found[1])
    assert same(found[0], Remembered(Counted(), store).embed(source))


def test_texts_are_read_once(store) -> None:
    model = Counted()
    side = Remembered(model, store).text
    assert isinstance(side, TextEncoder)
    cold = side.embed(["a", "bcd", "a"])
    again = Counted()
    warm_side = Remembered(again, store).text
    assert warm_side is not None
    warm = warm_side.embed(["a", "bcd", "a"])
    assert model.text is not None
    assert again.text is not None
    assert (model.text.asked, again.text.asked) == (["a", "bcd"], [])
    assert np.array_equal(cold, warm)
    assert warm_side.embed([]).shape == (0, 48)
    warm_side.embed(["bcd", "ef"])
    assert again.text.asked == ["ef"]


def test_another_vocabulary_reads_anew(store) -> None:
    first = Remembered(Counted(), store).text
    assert first is not None
    first.embed(["a"])
    other = Counted()
    other.text = CountedText("other letters")
    side = Remembered(other, store).text
    assert side is not None
    side.embed(["a"])
    assert other.text.asked == ["a"]


def test_a_damaged_file_is_told(store, folder) -> None:
    source = open_source(str(folder))
    Remembered(Counted(), store).embed(source)
    (path,) = store.folder.rglob("*.vectors")
    whole = path.read_bytes()
    for broken in (b"", whole[:20], whole[: len(whole) // 2], b"x" + whole[1:], whole[:9] + b"x" + whole[10:]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="remove it"):
            Remembered(Counted(), store).embed(source)
    path.write_bytes(whole)
    assert len(Remembered(Counted(), store).embed(source).keys) == 15


def test_rows_of_another_width_are_told(store) -> None:
    shelf = store.shelf("pictures", "f")
    shelf.put([content_key("a")], np.ones((1, 4), np.float32))
    with pytest.raises(InputError, match="not 1 rows of 5 numbers"):
        shelf.get([content_key("a")], 5)


def test_a_later_file_fills_what_an_earlier_one_lacks(store) -> None:
    shelf = store.shelf("texts", "f")
    for number in range(5):
        shelf.put([content_key(str(number))], np.full((1, 3), number, np.float32))
    rows, is_there = shelf.get([content_key(str(number)) for number in (4, 9, 0, 4)], 3)
    assert rows[:, 0].tolist() == [4, 0, 0, 4]
    assert is_there.tolist() == [True, False, True, True]
