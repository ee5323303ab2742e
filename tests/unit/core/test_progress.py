"""Telling how far work has come."""

from __future__ import annotations

from chiasm.core.progress import heard_by, tell
from chiasm.data.open import open_source
from chiasm.data.pictures import PictureLoader


def test_only_whoever_listens_hears_and_only_within_the_block():
    heard = []
    tell(1, 2)
    with heard_by(lambda *numbers: heard.append(numbers)):
        tell(1, 3)
        tell(3, 3)
    tell(2, 2)
    assert heard == [(1, 3), (3, 3)]


def test_a_loader_tells_until_all_are_done():
    heard = []
    with heard_by(lambda *numbers: heard.append(numbers)):
        list(PictureLoader(open_source("world:train?size=32&length=21"), 32, 4))
    assert heard[-1] == (21, 21)
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
