"""Evaluation of answers: kinds, several people, the baseline, files, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Example, QuestionAnswer, Source
from chiasm.core.manner import Manner
from chiasm.core.predictors import Answerer, Answers
from chiasm.evaluate.vqa import VqaResult, vqa

COLOUR, COUNT = "What colour is the car?", "How many dogs are there?"
TRUTH = {
    "a": (QuestionAnswer("colour", COLOUR, "red"), QuestionAnswer("count", COUNT, "2")),
    "b": (QuestionAnswer("colour", COLOUR, "red"), QuestionAnswer("count", COUNT, "3")),
    "c": (QuestionAnswer("colour", COLOUR, "blue"),),
}


class Asked:
    """Pictures with questions; those without a tuple are broken."""

    classes: tuple[str, ...] = ()

    def __init__(self, told: Mapping[str, tuple[QuestionAnswer, ...] | None], name: str = "photos") -> None:
        self.name = name
        self.num_read = 0
        self._told = list(told.items())

    def __len__(self) -> int:
        return len(self._told)

    def key(self, index: int) -> str:
        return self._told[index][0]

    def label(self, index: int) -> int | None:
        return None

    def digest(self, index: int) -> str:
        return self.key(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        self.num_read += 1
        key, told = self._told[index]
        if told is None:
            raise BrokenPictureError(key, "torn")
        return Example(key, np.zeros((2, 2, 3), np.uint8), questions=told)


class Oracle:
    """Answers from a table; free, or the first choice."""

    fingerprint = "o1"

    def __init__(
        self, texts: Mapping[tuple[str, str], str], unread: tuple[str, ...] = (), name: str = "oracle"
    ) -> None:
        self.name = name
        self._texts = texts
        self._unread = unread

    def answer(
        self,
        source: Source,
        questions: Mapping[str, Sequence[str]],
        choices: Sequence[str] = (),
        manner: Manner | None = None,
    ) -> Answers:
        del manner
        asked = [(key, one) for key, several in questions.items() for one in several if key not in self._unread]
        texts = {pair: choices[0] if choices else self._texts[pair] for pair in asked if choices or pair in self._texts}
        return Answers(texts, tuple((key, "torn") for key in self._unread))


def judged(model: Answerer, data: Source, **options: Any) -> VqaResult:
    (result,) = vqa([model], data=[data], **options).results
    return result


@pytest.fixture
def texts() -> dict[tuple[str, str], str]:
    return {("a", COLOUR): "Red.", ("a", COUNT): "two", ("b", COLOUR): "green", ("c", COLOUR): "the blue"}


def test_each_kind_has_its_score_and_its_baseline(texts) -> None:
    oracle = Oracle(texts)
    assert isinstance(oracle, Answerer)
    found = judged(oracle, Asked(TRUTH), bootstrap=200)
    colour, count = found.kinds
    assert (colour.kind, colour.num_questions, colour.baseline_answer) == ("colour", 3, "red")
    assert (colour.accuracy.value, colour.baseline) == pytest.approx((2 / 3, 2 / 3))
    assert (count.kind, count.accuracy.value, count.baseline) == ("count", 0.5, 0.5)
    assert found.accuracy.value == pytest.approx(3 / 5)
    assert found.mean_over_kinds == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (found.num_questions, found.num_pictures, found.num_missing) == (5, 3, 1)
    assert [one.accuracy for one in found.judged] == [0, 0, 1, 1, 1]
    assert {one.text for one in found.judged[:2]} == {"green", ""}
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def test_no_answer_is_wrong_even_where_people_say_a_letter() -> None:
    letter = "Which letter is on the sign?"
    people = Asked({"a": (QuestionAnswer("", letter, "A"),), "b": (QuestionAnswer("", letter, "A"),)})
    found = judged(Oracle({("b", letter): "a."}), people, bootstrap=10)
    assert (found.num_missing, found.accuracy.value, found.baseline.value) == (1, 0.5, 1.0)


def test_several_people_make_an_answer_as_right_as_they_agree() -> None:
    people = tuple(QuestionAnswer("", COLOUR, answer) for answer in ["red"] * 2 + ["blue"] * 8)
    found = judged(Oracle({("a", COLOUR): "red"}), Asked({"a": people}), bootstrap=10)
    assert found.num_questions == 1
    # Eight ways to leave one out keep two who agree, two ways keep one: (8 * 2/3 + 2 * 1/3) / 10.
    assert found.accuracy.value == pytest.approx(0.6)
    assert found.judged[0].expected == ("blue", "red")
    assert found.baseline.value == 1


def test_the_baseline_may_be_looked_up_in_training_pictures(texts) -> None:
    train = Asked({"x": (QuestionAnswer("colour", COLOUR, "green"),)}, "train")
    found = judged(Oracle(texts), Asked(TRUTH), train=train, bootstrap=10)
    assert found.baseline_from == "train"
    assert [(one.kind, one.baseline, one.baseline_answer) for one in found.kinds] == [
        ("colour", 0, "green"),
        ("count", 0, ""),
    ]


def test_choices_reach_the_model(texts) -> None:
    found = judged(Oracle(texts), Asked(TRUTH), choices=("red", "blue"), bootstrap=10)
    assert found.num_choices == 2
    assert {one.text for one in found.judged} == {"red"}


def test_broken_pictures_are_left_out(texts) -> None:
    found = judged(Oracle(texts, unread=("b",)), Asked(TRUTH), bootstrap=10)
    assert (found.num_questions, found.skipped) == (3, {"b": "torn"})
    with pytest.raises(InputError, match="none can be read"):
        judged(Oracle(texts, unread=("a", "b", "c")), Asked(TRUTH), bootstrap=10)


def test_questions_and_answers_come_from_files_as_well(texts, tmp_path) -> None:
    answers, questions = tmp_path / "answers.jsonl", tmp_path / "questions.jsonl"
    rows = [{"key": key, "question": question, "text": text} for (key, question), text in texts.items()]
    answers.write_text("\n".join(map(json.dumps, rows)))
    asked = [
        {"key": key, "question": one.question, "answer": one.answer, "kind": one.kind}
        for key, several in TRUTH.items()
        for one in several
    ]
    questions.write_text("\n".join(map(json.dumps, asked)))
    silent = Asked(dict.fromkeys(TRUTH, ()))
    found = vqa(data=[silent], answers=answers, questions=questions, bootstrap=10).results[0]
    model = judged(Oracle(texts), Asked(TRUTH), bootstrap=10)
    assert (found.kinds, found.accuracy, found.judged) == (model.kinds, model.accuracy, model.judged)
    questions.write_text(json.dumps({"key": "a", "question": COLOUR, "answers": ["red", "red", "blue"]}))
    several = vqa(data=[silent], answers=answers, questions=questions, bootstrap=10).results[0]
    assert (several.num_questions, several.judged[0].expected) == (1, ("red", "blue"))
    assert several.kinds[0].kind == ""
    questions.write_text(json.dumps({"key": "a", "question": COLOUR}))
    with pytest.raises(InputError, match="an answer to each question .* about a has none"):
        vqa(data=[silent], answers=answers, questions=questions)
    questions.write_text(json.dumps({"key": "elsewhere/a", "question": COLOUR, "answer": "red"}))
    with pytest.raises(InputError, match="questions in .* about pictures of photos, but there are none"):
        vqa(data=[silent], answers=answers, questions=questions)
    with pytest.raises(InputError, match="answers without choices"):
        vqa(data=[Asked(TRUTH)], answers=answers, choices=("red", "blue"))


def test_several_models_on_several_data_sets_with_a_gap_for_each_that_does_not_fit(texts, tmp_path) -> None:
    photos, mute = Asked(TRUTH), Asked(dict.fromkeys(TRUTH, ()), "mute")
    other = Asked({"a": (QuestionAnswer("colour", COLOUR, "green"),)}, "other")
    blind = Oracle({}, unread=("a", "b", "c"), name="blind")
    found = vqa([Oracle(texts), blind], data=[photos, mute, other], bootstrap=10, csv=tmp_path / "t.csv")
    assert [(one.model, one.data) for one in found.results] == [("oracle", "photos"), ("oracle", "other")]
    assert [one.accuracy.value for one in found.results] == pytest.approx([3 / 5, 0])
    assert [one.baseline.value for one in found.results] == pytest.approx([3 / 5, 1])
    assert [(one.model, one.data) for one in found.missing] == [
        ("oracle", "mute"),
        *(("blind", data.name) for data in (photos, mute, other)),
    ]
    assert "none can be read" in found.missing[1].reason
    # What is asked is read once, however many models answer.
    assert photos.num_read == 3
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["questions"] for row in rows] == ["5", "1", "", "", "", ""]
    # Whoever answers freely has no number of choices, not 0 of them.
    assert rows[0]["choices"] == ""
    assert float(rows[0]["accuracy high"]) == found.results[0].accuracy.high


def test_what_is_refused(texts, tmp_path) -> None:
    with pytest.raises(InputError, match="a model or --answers, but none came"):
        vqa(data=[Asked(TRUTH)])
    with pytest.raises(InputError, match="a model or --answers, but both came"):
        vqa([Oracle(texts)], data=[Asked(TRUTH)], answers=tmp_path / "some.jsonl")
    with pytest.raises(InputError, match="at least one model and one data set"):
        vqa([Oracle(texts)], data=[])
    with pytest.raises(InputError, match="pictures with questions, but photos has none"):
        judged(Oracle(texts), Asked(dict.fromkeys(TRUTH, ())))
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        judged(Oracle(texts), Asked(TRUTH), bootstrap=0)
