"""Retrieval: ranks both ways with several captions a picture, intervals, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.example import Example
from chiasm.evaluate.retrieval import retrieval


@pytest.fixture
def captioned(pictures):
    """One picture of each colour with its captions."""

    def make(*captions: tuple[str, ...]):
        made = [np.full((4, 4, 3), colour, np.uint8) for colour in ((200, 60, 60), (60, 200, 60), (60, 60, 200))]

        class Captioned(pictures):
            def read(self, index: int, min_side_px: int | None = None) -> Example:
                return replace(super().read(index, min_side_px), captions=captions[index])

        return Captioned("photos", made, [None] * 3, ())

    return make


def test_captions_and_pictures_find_each_other(reading, captioned) -> None:
    source = captioned(("a red one", "red", "red"), ("green",), ("something blue", "the blue one"))
    (found,) = retrieval([reading()], data=[source]).results
    assert found.text_to_picture.recall_at_1.value == 1
    assert found.picture_to_text.recall_at_1.value == 1
    # The caption that comes twice is asked once.
    assert (found.text_to_picture.num_queries, found.picture_to_text.num_queries) == (5, 3)
    assert (found.text_to_picture.num_answers, found.picture_to_text.num_answers) == (3, 5)
    assert found.text_to_picture.median_rank == 1


def test_wrong_captions_are_found_late(reading, captioned) -> None:
    (found,) = retrieval([reading()], data=[captioned(("green", "red"), ("blue",), ("red",))]).results
    # "red" belongs to the first picture and to the last: of four queries one is right at once.
    assert found.text_to_picture.recall_at_1.value == 0.25
    assert found.text_to_picture.recall_at_5.value == 1
    assert found.text_to_picture.median_rank > 1
    assert found.picture_to_text.recall_at_1.low <= found.picture_to_text.recall_at_1.value


def test_pictures_without_captions_are_left_out(reading, captioned) -> None:
    (found,) = retrieval([reading()], data=[captioned(("red",), (), ("blue",))]).results
    assert (found.num_without_caption, found.picture_to_text.num_queries) == (1, 2)
    with pytest.raises(InputError, match="at least two pictures with captions, but photos has 1"):
        retrieval([reading()], data=[captioned(("red",), (), ())])


def test_a_model_without_words_leaves_a_gap(reading, mean_colour, captioned) -> None:
    found = retrieval([mean_colour("blind"), reading()], data=[captioned(("red",), ("green",), ("blue",))])
    assert [one.model for one in found.missing] == ["blind"]
    assert found.table().column("text to picture R@1")[1] is None
