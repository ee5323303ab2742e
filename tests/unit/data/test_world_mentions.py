"""What texts say about scenes: true captions name nothing that is not there, false ones are found out."""

import pytest

from chiasm.core.example import Knowing
from chiasm.data.open import open_source
from chiasm.data.sources.world import WorldSource
from chiasm.data.world.mentions import mentions


def world(spec: str) -> WorldSource:
    source = open_source(spec)
    assert isinstance(source, WorldSource)
    assert isinstance(source, Knowing)
    return source


def test_the_worlds_own_captions_are_true():
    source = world("world:compositional?size=32&length=60")
    checked = [source.check(index, text) for index in range(60) for text in source.read(index).captions]
    assert sum(map(len, checked)) > 300
    assert all(map(all, checked))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("two red stars and a small dotted blue cup", [("star", "red"), ("cup", "blue")]),
        ("a single ring, brown and zigzag, on water", [("ring", "brown")]),
        ("three objects: a star, a cup and a ring", [("star", None), ("cup", None), ("ring", None)]),
        ("a star , red and dotted", [("star", "red")]),
        ("nothing at all", []),
    ],
)
def test_names_and_their_colours(text, found):
    assert list(mentions(text)) == found


def test_other_objects_and_other_colours_are_found_out():
    source = world("world:test?size=32&objects=1&length=20")
    for index in range(20):
        (thing,) = source.world.scene(index).objects
        colour = "red" if thing.colour.name != "red" else "blue"
        shape = "star" if thing.shape.name != "star" else "cup"
        assert source.check(index, f"a {thing.colour.name} {thing.shape.name}") == (True,)
        assert source.check(index, f"A {thing.shape.name.upper()}") == (True,)
        assert source.check(index, f"a {colour} {thing.shape.name} and a {shape}") == (False, False)
