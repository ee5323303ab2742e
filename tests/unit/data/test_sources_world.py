"""The world as a source: options arrive, errors name the nearest word, the text leads back."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.example import Source
from chiasm.data.open import open_source, open_splits
from chiasm.data.world.world import World


def test_options_reach_the_world() -> None:
    source = open_source("world:test?size=48&seed=3&domain=sketch&objects=2&length=7&defects=0.5")
    same = World(
        split="test", size_px=48, seed=3, domain="sketch", min_objects=2, max_objects=2, num_pictures=7, defects=0.5
    )
    assert isinstance(source, Source)
    assert len(source) == 7
    assert source.classes == same.classes
    assert source.key(6) == same.key(6)
    assert source.label(6) == same.label(6)
    np.testing.assert_array_equal(source.read(6).picture, same.picture(6))


def test_what_an_example_carries() -> None:
    plain = open_source("world?length=2&language=0").read(1)
    assert (plain.captions, plain.questions, plain.truth, plain.edit) == ((), (), None, None)
    spoken = open_source("world?length=2").read(1)
    assert spoken.captions
    assert spoken.questions
    full = open_source("world?length=2&truth=1&edit=1").read(1)
    assert full.truth is not None
    assert full.edit is not None
    assert full.label == spoken.label
    np.testing.assert_array_equal(full.picture, plain.picture)


def test_the_picture_does_not_depend_on_the_size_that_suffices() -> None:
    source = open_source("world?size=64&length=1")
    np.testing.assert_array_equal(source.read(0, 16).picture, source.read(0).picture)


@pytest.mark.parametrize("spec", ["world", "world:train", "world?size=32", "world:?size=32", "world:test?size=32"])
def test_splits_keep_the_options_and_the_name_leads_back(spec: str) -> None:
    options = "?size=32" if "?" in spec else ""
    source = open_source(spec)
    assert source.name == f"world:{'test' if 'test' in spec else 'train'}{options}"
    assert open_source(source.name) == source
    splits = open_splits(spec)
    assert (splits.train.name, splits.test.name) == (f"world:train{options}", f"world:test{options}")
    assert open_source(spec, "compositional").name == f"world:compositional{options}"


@pytest.mark.parametrize(
    ("spec", "near"),
    [("world:tset", "test"), ("world?sise=3", "size"), ("world?domain=skech", "sketch"), ("wordl:train", "world")],
)
def test_unknown_words_are_answered_with_the_nearest(spec: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{near}'"):
        open_source(spec)


@pytest.mark.parametrize(
    "options",
    [
        "length=99999999999999999999",
        "size=big",
        "size=3",
        "objects=99",
        "truth=2",
        "min_objects=5&max_objects=2",
        "size",
    ],
)
def test_impossible_values(options: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source(f"world?{options}")
    assert "\n" not in str(caught.value)
