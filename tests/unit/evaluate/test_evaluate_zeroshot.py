"""Zero-shot evaluation: the figures, names of classes, gaps in the grid."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.evaluate.zeroshot import zeroshot

NAMES = ("red", "green", "blue")


@pytest.fixture
def named(pictures, coloured):
    """Pictures whose classes are words."""

    def make(name: str = "test", classes: tuple[str, ...] = NAMES):
        source = coloured(name, 8, 1)
        return pictures(
            name, [source.read(place).picture for place in range(24)], [place // 8 for place in range(24)], classes
        )

    return make


def test_classes_of_the_data_are_asked_about(reading, named) -> None:
    (result,) = zeroshot([reading()], data=[named()]).results
    assert result.scores.accuracy.value > 0.95
    assert (result.num_classes, result.num_templates, result.independent) == (3, 1, False)
    assert set(result.scores.per_class) == set(NAMES)
    assert result.scores.top5_accuracy is None


def test_a_model_that_is_always_wrong_scores_0_and_0_is_told(reading, named) -> None:
    found = zeroshot([reading()], data=[named(classes=("blue", "red", "green"))])
    assert found.results[0].scores.accuracy.value == 0
    assert found.table().column("top-1")[0] == found.results[0].scores.accuracy


def test_more_names_may_be_asked_about_than_the_data_has(reading, named) -> None:
    labels = (*NAMES, "yellow", "cyan", "magenta")
    (result,) = zeroshot([reading()], data=[named(classes=("Red", "GREEN", "blue "))], labels=labels).results
    assert (result.num_classes, result.scores.num_test) == (6, 24)
    assert result.scores.top5_accuracy is not None
    assert result.scores.top5_accuracy.value == 1


def test_templates_reach_the_model(reading, named) -> None:
    model = reading()
    zeroshot([model], data=[named()], templates=("a {}.", "the {} one"))
    assert model.text.seen == [text for name in NAMES for text in (f"a {name}.", f"the {name} one")]


def test_what_does_not_fit_leaves_gaps_with_reasons(reading, mean_colour, named, coloured, pictures) -> None:
    plain = pictures("plain", [np.zeros((4, 4, 3), np.uint8)], [None], ())
    found = zeroshot(
        [mean_colour("blind"), reading()], data=[named(), plain, named("yak", ("red", "green", "yak"))], labels=NAMES
    )
    assert [(one.model, one.data) for one in found.results] == [("colour", "test")]
    reasons = {(one.model, one.data): one.reason for one in found.missing}
    assert "sees pictures only" in reasons["blind", "test"]
    assert "plain has none" in reasons["colour", "plain"]
    assert "'yak' is not" in reasons["colour", "yak"]
    table = found.table()
    assert table.columns[-1] == "why not"
    assert len(table.rows) == 6
    assert table.column("top-1")[1:] == (None,) * 5


def test_nothing_at_all_is_an_error(reading, mean_colour, named) -> None:
    with pytest.raises(InputError, match="sees pictures only"):
        zeroshot([mean_colour()], data=[named()])
    with pytest.raises(InputError, match="at least one model and one data set"):
        zeroshot([reading()], data=[])
    with pytest.raises(InputError, match="at least two classes"):
        zeroshot([reading()], data=[named()], labels=("red",))


def test_pictures_without_a_class_do_not_count(reading, pictures) -> None:
    red = np.full((4, 4, 3), (200, 60, 60), np.uint8)
    source = pictures("some", [red, red, None], [0, None, 0], NAMES)
    (result,) = zeroshot([reading()], data=[source]).results
    assert result.scores.num_test == 1
    assert result.skipped == {"0002": "torn"}
