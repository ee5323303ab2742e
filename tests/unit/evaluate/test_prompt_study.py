"""The study of prompts: what each template does to each class, against figures made one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.evaluate._prompt_study import study
from chiasm.ops.vectors import unit_rows

DIRECTIONS = {"r": (1.0, -1, -1), "g": (-1, 1.0, -1), "b": (-1, -1, 1.0)}
GOOD, BLIND, SWAPPED = "a good {}.", "a blind thing, not {}.", "swapped {}."


class Words:
    """Names as directions of colour; some templates spoil them. Remembers what it was asked."""

    fingerprint: str = "words"
    logit_scale: float = 10.0
    logit_bias: float | None = None

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return unit_rows(np.array([self._read(text) for text in texts]))[0]

    @staticmethod
    def _read(text: str) -> np.ndarray:
        name = next(word for word in text.rstrip(".").split() if word in DIRECTIONS)
        if text.startswith("swapped"):
            name = {"r": "g", "g": "r"}.get(name, name)
        found = np.array(DIRECTIONS[name])
        # A plain photo tells no green, and the blind one neither red nor green.
        is_wrong = (text.startswith("a photo") and name == "g") or (text.startswith("a blind") and name != "b")
        return -found if is_wrong else found


@pytest.fixture
def model(mean_colour):
    reading = mean_colour()
    reading.text = Words()
    return reading


@pytest.fixture
def data(coloured):
    return coloured("colours", 10, 0)


def test_each_template_has_its_accuracy_and_its_difference(model, data) -> None:
    found = study(model, data, (SWAPPED, GOOD, BLIND), bootstrap=100)
    scores = {one.template: one for one in found.templates}
    assert [one.template for one in found.templates] == [GOOD, SWAPPED, BLIND]
    assert scores[BLIND].accuracy.value == pytest.approx(1 / 3)
    assert scores[GOOD].accuracy.value == 1
    assert scores[SWAPPED].accuracy.value == pytest.approx(1 / 3)
    assert scores[GOOD].against_plain.value == pytest.approx(1 - found.plain.value)
    assert scores[GOOD].against_plain.low > 0 > scores[SWAPPED].against_plain.high
    assert found.plain.value == pytest.approx(2 / 3)
    assert found.gain.value == pytest.approx(found.ensemble.value - found.plain.value)
    assert found.num_pictures == 30


def test_each_class_is_told_which_template_helps_it(model, data) -> None:
    found = study(model, data, (SWAPPED, GOOD), bootstrap=50)
    classes = {one.name: one for one in found.classes}
    assert (classes["g"].plain, classes["g"].best_template, classes["g"].worst_template) == (0, GOOD, SWAPPED)
    assert (classes["g"].best.value, classes["g"].best.low) == (1, 1)
    assert (classes["r"].plain, classes["r"].worst_template, classes["r"].worst.value) == (1, SWAPPED, -1)
    effects = {(one.name, one.template): one for one in found.effects}
    assert len(effects) == 6
    assert effects["g", GOOD].against_plain.value == 1
    assert effects["b", GOOD].against_plain.value == 0
    clear = [one.against_plain.low > 0 or one.against_plain.high < 0 for one in found.effects]
    assert clear == sorted(clear, reverse=True)
    assert 0 < sum(clear) < 6


def test_leaving_a_template_out_of_the_ensemble_shows_what_it_adds(model, data) -> None:
    templates = (GOOD, SWAPPED, BLIND)
    found = study(model, data, templates, bootstrap=50)
    vectors, labels = model.embed(data).vectors, np.array([data.label(row) for row in range(len(data))])
    names = tuple(DIRECTIONS)

    def accuracy(some: Sequence[str]) -> float:
        classes = [model.text.embed([one.replace("{}", name) for one in some]).mean(axis=0) for name in names]
        units = np.array([one / max(np.linalg.norm(one), 1e-12) for one in classes])
        return float(((vectors @ units.T).argmax(axis=1) == labels).mean())

    assert found.ensemble.value == pytest.approx(accuracy(templates))
    for one in found.templates:
        assert one.in_ensemble is not None
        rest = [template for template in templates if template != one.template]
        assert one.in_ensemble.value == pytest.approx(accuracy(templates) - accuracy(rest))
    assert any(one.in_ensemble.value != 0 for one in found.templates if one.in_ensemble)


def test_everything_is_encoded_once(model, data) -> None:
    study(model, data, (GOOD, SWAPPED), bootstrap=10)
    assert len(model.text.seen) == 3 * 2 + 3
    alone = study(model, data, (GOOD,), bootstrap=10)
    assert alone.templates[0].in_ensemble is None
    assert alone.ensemble.value == alone.templates[0].accuracy.value


def test_names_may_be_said_otherwise_and_the_simple_templates_are_usual(model, data, pictures) -> None:
    told = study(model, data, labels=("b", "g", "r"), bootstrap=10)
    assert len(told.templates) == 7
    assert {one.name for one in told.classes} == {"r", "g", "b"}
    grey = np.full((4, 4, 3), 9, np.uint8)
    some = pictures(
        "some",
        [np.array([[[200, 60, 60]]], np.uint8), None, grey, grey, *[grey] * 20],
        [0, 0, None, 1] + [1] * 20,
        ("r", "g"),
    )
    found = study(model, some, (GOOD,), bootstrap=10)
    assert (found.num_pictures, found.skipped) == (22, {"0001": "torn"})


def test_what_is_refused(model, mean_colour, data, pictures, coloured) -> None:
    grey = np.full((4, 4, 3), 9, np.uint8)
    with pytest.raises(InputError, match="a model that reads text, but colour sees pictures only"):
        study(mean_colour(), data)
    with pytest.raises(InputError, match="pictures with classes, but plain has none"):
        study(model, pictures("plain", [grey], [None], ()))
    with pytest.raises(InputError, match="none has one"):
        study(model, pictures("plain", [grey], [None], ("r", "g")))
    with pytest.raises(InputError, match="at least two classes to choose from, but only r came"):
        study(model, coloured("one", 3, 0, classes=("r",)))
    with pytest.raises(InputError, match="among the labels, but 'b' is not"):
        study(model, data, labels=("r", "g"))
    with pytest.raises(InputError, match="sentences with {}"):
        study(model, data, ("a photo",))
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        study(model, data, bootstrap=0)
    assert model.text.seen == []
