"""What sources can tell of a model, looked up before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Example, QuestionAnswer
from chiasm.recipes._judged import looked_up

ASKED = (QuestionAnswer("what", "What is it?", "a dog"),)


class Album:
    """Pictures with the captions that they are given, None for a broken one; remembers which were read."""

    name = "album"

    def __init__(
        self,
        captions: Sequence[tuple[str, ...] | None],
        classes: tuple[str, ...] = (),
        label: int | None = 0,
        questions: tuple[QuestionAnswer, ...] = (),
    ) -> None:
        self.classes = classes
        self.read_places: list[int] = []
        self._captions = captions
        self._label = label if classes else None
        self._questions = questions

    def __len__(self) -> int:
        return len(self._captions)

    def key(self, index: int) -> str:
        return f"{index}.jpg"

    def label(self, index: int) -> int | None:
        return self._label

    def digest(self, index: int) -> str:
        return str(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        self.read_places.append(index)
        captions = self._captions[index]
        if captions is None:
            raise BrokenPictureError(self.key(index), "torn")
        pixels = np.zeros((8, 8, 3), np.uint8)
        return Example(self.key(index), pixels, self._label, captions, questions=self._questions)


@pytest.mark.parametrize(
    ("source", "told", "notes"),
    [
        (Album([("a dog",)] * 3, ("cat", "dog"), questions=ASKED), "classes finding captions answers", ""),
        (Album([("a dog",)] * 3), "finding captions", ""),
        (Album([("a dog",)] * 3, ("dog",)), "finding captions", "classes by their names: it has one only"),
        (Album([()] * 3, ("cat", "dog"), label=None), "", "classes by their names: no picture has one"),
        (Album([(), ("a dog", "a beast"), None], ("cat", "dog")), "classes", "captions: one picture only has any"),
        (Album([(), None], questions=ASKED), "answers", ""),
        (Album([(), None]), "", "nothing: pictures looked at have no classes, captions or questions"),
        (Album([]), "", "nothing: pictures looked at have no classes, captions or questions"),
    ],
)
def test_what_a_source_cannot_tell_is_left_out_and_noted(source, told, notes):
    found = looked_up([source])
    assert [trial.what.split()[0] for trial in found.trials] == told.split()
    assert len(found.notes) == bool(notes)
    assert all(note.startswith("album tells nothing") and note.endswith(notes) for note in found.notes)


def test_a_large_source_is_not_read_through():
    source = Album([("a dog",)] * 5000, ("cat", "dog"))
    looked_up([source])
    assert len(source.read_places) < 40
