"""Classify by names in words and by a model's own classes; what the three ways share and refuse."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from chiasm.adapt.centroid import CentroidLearner
from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.tasks.classify import classify


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


@pytest.fixture
def mixed(paint, tmp_path):
    paint("mixed/a.png", (255, 10, 0))
    paint("mixed/b.png", (10, 0, 255))
    return tmp_path / "mixed"


def test_names_in_words_classify_without_examples(reading, folder, mixed) -> None:
    record = classify(reading, folder(mixed), labels=("red", "green", "blue"))
    assert [(answer.key, answer.label) for answer in record.predictions] == [("a.png", "red"), ("b.png", "blue")]
    assert (record.classes_from, record.independent, record.examples) == ("labels", False, None)
    assert (record.num_templates, record.num_examples) == (1, {})
    assert record.num_predicted == {"red": 1, "blue": 1, "green": 0}
    assert reading.text.seen == ["a photo of a red.", "a photo of a green.", "a photo of a blue."]
    assert reading.seen == ["a.png", "b.png"]


def test_probabilities_are_the_softmax_of_scaled_cosines_with_averaged_prompts(reading, folder, mixed) -> None:
    templates = ("a {}.", "the {}, painted at night by somebody else", "{}")
    record = classify(reading, folder(mixed), labels=("red", "blue"), templates=templates, top=2)
    vectors = reading.embed(folder(mixed)).vectors
    classes = []
    for name in ("red", "blue"):
        prompts = reading.text.embed([template.replace("{}", name) for template in templates])
        mean = (prompts / np.linalg.norm(prompts, axis=1, keepdims=True)).mean(axis=0)
        classes.append(mean / np.linalg.norm(mean))
    logits = reading.text.logit_scale * vectors @ np.array(classes).T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for answer, row in zip(record.predictions, expected, strict=True):
        assert answer.ranking == {"red": pytest.approx(row[0], abs=1e-6), "blue": pytest.approx(row[1], abs=1e-6)}
    assert record.num_templates == 3
    plain = classify(reading, folder(mixed), labels=("red", "blue"))
    assert plain.predictions[0].probability != pytest.approx(record.predictions[0].probability, abs=1e-5)


def test_a_sigmoid_model_judges_each_class_on_its_own(reading, words, folder, mixed) -> None:
    reading.text = words(logit_scale=10.0, logit_bias=-8.0)
    record = classify(reading, folder(mixed), labels=("red", "green"), top=2)
    assert record.independent
    first, second = record.predictions
    assert (first.label, first.probability > 0.8) == ("red", True)
    # Neither class is in a blue picture, and the model may say so.
    assert sum(second.ranking.values()) < 0.1
    alone = classify(reading, folder(mixed), labels=("red",))
    assert alone.predictions[0].probability == pytest.approx(first.probability, abs=1e-6)


def test_many_classes_are_described_in_parts(reading, folder, mixed, monkeypatch) -> None:
    names = ("red", "green", "blue", "purple")
    whole = classify(reading, folder(mixed), labels=names, top=4)
    monkeypatch.setattr("chiasm.data.described._PROMPTS_AT_ONCE", 3)
    assert classify(reading, folder(mixed), labels=names, top=4).predictions == whole.predictions


def test_accuracy_of_names_goes_by_the_names_of_the_data(reading, folder, colours) -> None:
    record = classify(reading, folder(colours), labels=("Green", "Blue", "red"))
    # The case of a name reaches the model as it was written, and does not count when answers are judged.
    assert "a photo of a Blue." in reading.text.seen
    assert record.num_scored == 24
    assert {answer.truth for answer in record.predictions} == {"Blue", "red"}
    assert value(record.accuracy) == np.mean([answer.label == answer.truth for answer in record.predictions])
    assert classify(reading, folder(colours), labels=("red", "green")).num_scored == 0


def test_top_accuracy_counts_the_right_class_among_the_first(reading, folder, colours, paint) -> None:
    paint("photos/green/odd.png", (250, 40, 0))
    record = classify(reading, folder(colours), labels=("red", "green", "blue"), top=2)
    assert value(record.accuracy) == pytest.approx(24 / 25)
    assert value(record.top_accuracy) == 1
    odd = next(answer for answer in record.predictions if answer.key == "green/odd.png")
    assert list(odd.ranking) == ["red", "green"]
    assert classify(reading, folder(colours), labels=("red", "green", "blue")).top_accuracy is None


def test_a_model_answers_with_its_own_classes_from_vectors_of_their_own_length(
    trained, folder, paint, tmp_path
) -> None:
    paint("lights/light/a.png", (240, 230, 240))
    paint("lights/dark/b.png", (20, 30, 20))
    record = classify(trained, folder(tmp_path / "lights"))
    # One of the words that commas part is the class's name.
    assert {answer.key: answer.label for answer in record.predictions} == {
        "dark/b.png": "dark",
        "light/a.png": "bright, light",
    }
    assert (record.classes_from, value(record.accuracy), record.num_scored) == ("model", 1, 2)


def test_the_ranking_goes_to_the_table_when_it_is_asked_for(reading, folder, mixed, tmp_path) -> None:
    classify(reading, folder(mixed), labels=("red", "blue"), top=1, out=tmp_path / "a.csv")
    classify(reading, folder(mixed), labels=("red", "blue"), out=tmp_path / "b.csv")
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(json.loads(rows[0]["ranking"])) == ["red"]
    with (tmp_path / "b.csv").open() as file:
        assert "ranking" not in next(iter(csv.DictReader(file)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("red", "blue"), "examples": True}, "labels or examples, but both came"),
        ({"templates": ("a {}",)}, "labels for the templates"),
        ({"labels": ("red", "blue"), "shots": 3}, "examples to draw shots from"),
        ({"labels": ("red", "blue"), "learner": CentroidLearner(0.07)}, "examples to learn from, but a learner came"),
        ({"learner": CentroidLearner(0.07)}, "examples to learn from, but a learner came alone"),
        ({"labels": ("red", "blue"), "templates": ("a photo",)}, "sentences with {} .* 'a photo' has none"),
        ({"labels": ("red", "blue"), "templates": ()}, "sentences with {} .* there is none"),
        ({"labels": ()}, "names of classes .* there is none"),
        ({"labels": ("red", "red")}, "each class once .* 'red' comes 2 times"),
        ({"labels": ("red", " ")}, "names of classes .* one is empty"),
        ({"labels": ("red",)}, "at least two classes"),
        ({"labels": ("red", "blue"), "top": 0}, "at least one class to tell"),
        ({"examples": True}, "a learner for the examples"),
        ({}, "has none of its own; give labels .* or examples .*photos has blue,red"),
    ],
)
def test_bad_input_is_told_in_one_line_before_any_work(reading, folder, colours, options, message) -> None:
    given = {**options, "examples": folder(colours)} if "examples" in options else options
    with pytest.raises(InputError, match=message) as caught:
        classify(reading, folder(colours), **given)
    assert "\n" not in str(caught.value)
    assert reading.seen == []


def test_a_model_that_reads_no_text_is_told_as_such(encoder, folder, mixed) -> None:
    with pytest.raises(InputError, match="a model that reads text, but colour sees pictures only; give examples"):
        classify(encoder, folder(mixed), labels=("red", "blue"))
    with pytest.raises(InputError, match=r"none of its own; give examples \(pictures with classes\)\.$"):
        classify(encoder, folder(mixed))
