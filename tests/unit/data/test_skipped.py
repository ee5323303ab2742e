"""The ledger: each broken picture once, on disk at once, and an end when too many are broken."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError, WordlessPictureError
from chiasm.data.skipped import Skipped


def _meet(skipped: Skipped, num_good: int, num_broken: int) -> None:
    for number in range(num_good):
        skipped.seen(f"good/{number}")
    for number in range(num_broken):
        skipped.seen(f"bad/{number}")
        skipped.broken(BrokenPictureError(f"bad/{number}", "the file is empty"))


def test_writes_each_broken_picture_once_and_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "skipped.jsonl"
    skipped = Skipped(path)
    assert not path.exists()
    for epoch in range(2):
        _meet(skipped, 10, 2)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines == [{"key": f"bad/{number}", "reason": "the file is empty"} for number in range(2)], epoch
    assert skipped.count == 2
    assert skipped.num_seen == 12
    assert skipped.entries == (("bad/0", "the file is empty"), ("bad/1", "the file is empty"))


def test_a_resumed_run_appends_only_what_is_new_and_survives_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "skipped.jsonl"
    path.write_text('{"key": "bad/0", "reason": "x"}\n{"key": "bad/1", "rea')
    skipped = Skipped(path)
    _meet(skipped, 10, 3)
    assert skipped.count == 3
    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"key": "bad/0", "reason": "x"}', '{"key": "bad/1", "rea']
    assert [json.loads(line)["key"] for line in lines[2:]] == ["bad/1", "bad/2"]
    assert skipped.listed == {"bad/0", "bad/1", "bad/2"}
    later = Skipped(path)
    assert later.listed == skipped.listed
    assert later.count == 0


def test_keys_that_are_no_valid_unicode_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "skipped.jsonl"
    key = "caf\udce9/grün.jpg"
    Skipped(path).broken(BrokenPictureError(key, "no such file"))
    assert json.loads(path.read_text(encoding="utf-8"))["key"] == key
    assert "grün" in path.read_text(encoding="utf-8")
    again = Skipped(path)
    again.broken(BrokenPictureError(key, "no such file"))
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1


def test_check_waits_until_enough_was_seen() -> None:
    skipped = Skipped(max_share=0.1, min_seen=50)
    _meet(skipped, 10, 10)
    skipped.check()
    _meet(skipped, 39, 10)
    skipped.check()
    _meet(skipped, 40, 10)
    with pytest.raises(TooManyBrokenError, match="10 of 50 cannot be read"):
        skipped.check()


def test_the_share_is_of_distinct_pictures_and_its_bound_is_tolerated() -> None:
    skipped = Skipped(max_share=0.1, min_seen=1)
    _meet(skipped, 90, 10)
    skipped.check()
    skipped.finish()
    for _ in range(5):
        skipped.broken(BrokenPictureError("bad/3", "the file is empty"))
    skipped.finish()
    skipped.broken(BrokenPictureError("one more", "cut off"))
    with pytest.raises(TooManyBrokenError):
        skipped.finish()


def test_finish_judges_small_sources_too(tmp_path: Path) -> None:
    path = tmp_path / "skipped.jsonl"
    skipped = Skipped(path)
    _meet(skipped, 3, 2)
    skipped.check()
    with pytest.raises(TooManyBrokenError) as caught:
        skipped.finish()
    message = str(caught.value)
    assert "2 of 5" in message
    assert "bad/0: the file is empty" in message
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("max_share", [0.1, 1.0])
def test_a_source_without_a_readable_picture_always_ends_with_an_error(max_share: float) -> None:
    skipped = Skipped(max_share=max_share)
    _meet(skipped, 0, 3)
    with pytest.raises(TooManyBrokenError, match="at least one readable picture, but 3 of 3"):
        skipped.finish()


def test_nothing_seen_and_nothing_broken_is_fine() -> None:
    skipped = Skipped(max_share=0.0)
    skipped.finish()
    _meet(skipped, 5, 0)
    skipped.finish()
    _meet(skipped, 0, 1)
    with pytest.raises(TooManyBrokenError):
        skipped.finish()


def test_threads_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "skipped.jsonl"
    skipped = Skipped(path, max_share=1.0)

    def work(number: int) -> None:
        skipped.seen(str(number % 200))
        if number % 2:
            skipped.broken(BrokenPictureError(str(number % 200), "cut off"))
        skipped.check()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1000)))
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert sorted(keys, key=int) == [str(number) for number in range(1, 200, 2)]
    assert (skipped.count, skipped.num_seen) == (100, 200)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="place that can be written"):
        Skipped(tmp_path).broken(BrokenPictureError("x", "cut off"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another place"):
        Skipped(tmp_path / "file" / "skipped.jsonl").broken(BrokenPictureError("x", "cut off"))


@pytest.mark.parametrize("max_share", [-0.1, 1.5])
def test_an_impossible_share(max_share: float) -> None:
    with pytest.raises(InputError, match="share"):
        Skipped(max_share=max_share)


def test_pictures_about_which_nothing_is_said_are_no_broken_ones(tmp_path: Path) -> None:
    skipped = Skipped(tmp_path / "skipped.jsonl")
    for number in range(150):
        skipped.seen(f"mute/{number}")
        skipped.broken(WordlessPictureError(f"mute/{number}", "it has no caption"))
        skipped.check()
    with pytest.raises(TooManyBrokenError, match="none of 150 is usable .*it has no caption.*add texts"):
        skipped.finish()
    _meet(skipped, 9, 1)
    skipped.finish()
    assert skipped.count == 151
    _meet(skipped, 0, 20)
    with pytest.raises(TooManyBrokenError, match=r"20 of 179 cannot be read \(the first is bad/0"):
        skipped.finish()
