"""Classify by names and examples together: who learns what, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.predictors import Learner, NamedClasses, NamedLearner
from chiasm.ops.zero_shot import SoftmaxOfCosines
from chiasm.tasks.classify import classify


class NamesAlone:
    """Remembers what it was given, and classifies by the names."""

    named: NamedClasses
    vectors: np.ndarray
    labels: list[int]

    def fit_named(self, vectors, labels, named):
        self.vectors, self.labels, self.named = vectors, labels.tolist(), named
        return SoftmaxOfCosines(named.vectors, named.text.logit_scale)


@pytest.fixture
def learner() -> NamesAlone:
    return NamesAlone()


@pytest.fixture
def mixed(paint, tmp_path):
    paint("mixed/a.png", (255, 10, 0))
    paint("mixed/b.png", (10, 0, 255))
    return tmp_path / "mixed"


def test_speaks_one_contract_of_the_two(learner) -> None:
    assert isinstance(learner, NamedLearner)
    assert not isinstance(learner, Learner)


def test_names_come_from_the_examples_where_none_are_given(reading, folder, colours, mixed, learner) -> None:
    record = classify(reading, folder(mixed), examples=folder(colours), learner=learner, shots=5)
    assert learner.named.names == ("blue", "red")
    assert sorted(learner.labels) == [0] * 5 + [1] * 5
    assert learner.vectors.shape == (10, 3)
    assert reading.text.seen == ["a photo of a blue.", "a photo of a red."]
    assert (record.classes_from, record.num_examples) == ("labels and examples", {"blue": 5, "red": 5})
    assert (record.num_templates, record.independent) == (1, False)
    assert [answer.label for answer in record.predictions] == ["red", "blue"]


def test_given_names_are_matched_with_the_examples_and_may_be_more(reading, folder, colours, mixed, learner) -> None:
    names = ("green", "Red", "blue")
    record = classify(reading, folder(mixed), labels=names, examples=folder(colours), learner=learner, shots=2)
    assert learner.named.names == names
    assert sorted(learner.labels) == [1, 1, 2, 2]
    assert record.num_examples == {"green": 0, "Red": 2, "blue": 2}
    # Vectors and labels belong together: red ones point along red.
    for vector, label in zip(learner.vectors, learner.labels, strict=True):
        assert vector.argmax() == {1: 0, 2: 2}[label]


def test_templates_are_averaged_here_too(reading, folder, colours, mixed, learner) -> None:
    templates = ("a {}.", "the {}")
    record = classify(reading, folder(mixed), examples=folder(colours), templates=templates, learner=learner)
    assert record.num_templates == 2
    assert reading.text.seen == ["a blue.", "the blue", "a red.", "the red"]


def test_what_was_learnt_from_is_not_counted(reading, folder, colours, learner) -> None:
    record = classify(reading, folder(colours), examples=folder(colours), learner=learner, shots=5)
    assert record.num_scored == 24 - 10


def test_what_is_refused(reading, encoder, folder, colours, mixed, learner, paint, tmp_path) -> None:
    examples, asked = folder(colours), folder(mixed)
    with pytest.raises(InputError, match="the classes of .* among the labels, but 'blue' is not"):
        classify(reading, asked, labels=("red", "green"), examples=examples, learner=learner)
    with pytest.raises(InputError, match="a model that reads text, but colour sees pictures only"):
        classify(encoder, asked, examples=examples, learner=learner)
    with pytest.raises(InputError, match="sentences with {}"):
        classify(reading, asked, examples=examples, templates=("a photo",), learner=learner)
    with pytest.raises(InputError, match="at least one shot"):
        classify(reading, asked, examples=examples, learner=learner, shots=0)
    paint("one/red/0.png", (255, 0, 0))
    with pytest.raises(InputError, match="at least two classes to choose from, but only red came"):
        classify(reading, asked, examples=folder(tmp_path / "one"), learner=learner)
    assert reading.seen == []
