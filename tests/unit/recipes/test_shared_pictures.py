"""Test pictures that are trained on are told, by their content and not by their names."""

from __future__ import annotations

import shutil

import pytest
from drawn import draw_pictures

from chiasm.core.example import Splits
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.recipes import _probe
from chiasm.recipes._probe import shared_pictures
from chiasm.recipes.simclr import simclr
from chiasm.trunks import vit


@pytest.fixture
def sources(tmp_path):
    """Thirty training pictures, and a probe of other folders with no picture of theirs."""
    train = open_source(str(draw_pictures(tmp_path / "data", 10)))
    other = draw_pictures(tmp_path / "other", 14)
    for name in ("red", "green", "blue"):
        for number in range(10):
            (other / name / f"{number:02d}.png").unlink()
    return tmp_path, train, other


def test_only_pictures_of_the_same_content_are_told(sources):
    folder, train, other = sources
    apart = open_source(str(other))
    assert shared_pictures(Splits(apart, apart), train, 0) is None
    shutil.copy(folder / "data" / "red" / "00.png", other / "red" / "renamed.png")
    (other / "blue" / "broken.png").write_bytes(b"")
    leaky = open_source(str(other))
    assert len(leaky) == 14
    told = shared_pictures(Splits(apart, leaky), train, 0)
    assert told is not None
    # Twelve of their own, a copy, and an empty file, which is a content like any other.
    assert told.startswith("1 of 14 test pictures of the probe are among the training pictures: its")
    # Training pictures among the gallery are the usual case.
    assert shared_pictures(Splits(leaky, apart), train, 0) is None


def test_of_a_large_source_a_part_is_compared(sources, monkeypatch):
    _, train, _ = sources
    monkeypatch.setattr(_probe, "MAX_COMPARED", 20)
    told = shared_pictures(Splits(train, train), train, 0)
    assert told is not None
    assert "of 20 test pictures" in told
    assert "training pictures, of 20 of 30 compared" in told


def test_report_and_card_carry_the_note(sources):
    folder, train, other = sources
    settings = {
        "trunk": vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2),
        "engine": Settings(batch_size=8, num_probes=1, accelerator="cpu"),
        "steps": 1,
    }
    leaky = simclr(train, folder / "leaky", **settings, probe=Splits(train, train))
    assert leaky.notes[0].startswith("30 of 30 test pictures")
    assert "30 of 30 test pictures" in (folder / "leaky" / "card.md").read_text()
    apart = open_source(str(other))
    assert simclr(train, folder / "apart", **settings, probe=Splits(apart, apart)).notes == ()
    # Without a probe of one's own the pictures are the training pictures, as the guide says.
    assert simclr(train, folder / "none", **settings).notes == ()
