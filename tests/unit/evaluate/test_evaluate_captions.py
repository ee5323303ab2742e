"""Caption evaluation: models and files, the baseline, what is missing, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError
from chiasm.core.example import Example, Source
from chiasm.core.manner import Manner
from chiasm.core.predictors import Captioner, Captions, Embeddings
from chiasm.data.vector_store import VectorStore
from chiasm.data.written import WrittenCaptions
from chiasm.evaluate.captions import CaptionsResult, captions
from chiasm.ops.vectors import unit_rows

TRUTH = {
    "a": ("a dog runs on the beach", "a brown dog is running on sand"),
    "b": ("two children play in the snow", "children throw snow at each other"),
    "c": ("a man rides a red bicycle", "a cyclist on a red bicycle"),
    "d": ("a dog sleeps on a red sofa",),
}


class Captioned:
    """Pictures with captions; those without a tuple are broken."""

    classes: tuple[str, ...] = ()

    def __init__(self, told: Mapping[str, tuple[str, ...] | None], name: str = "photos") -> None:
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
        return Example(key, np.full((2, 2, 3), index, np.uint8), captions=told)


class Parrot:
    """Says what it was told to."""

    name = "parrot"
    fingerprint = "p1"

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self.asked: list[str] = []

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        del manner, beginning
        self.asked = [source.key(index) for index in range(len(source))]
        return Captions({key: text for key, text in self._texts.items() if key in self.asked})


class Silent:
    """Answers questions only."""

    name, fingerprint = "silent", "s1"

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        raise InputError("a model that writes captions", "silent only answers questions", "take another")


class Letters:
    """Text as how often it has each letter."""

    logit_scale: float = 1.0
    logit_bias: float | None = None
    fingerprint: str = "letters"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        counts = [[text.lower().count(letter) for letter in ascii_lowercase] for text in texts]
        return unit_rows(np.array(counts, float))[0]


class LetterModel:
    """Pictures as the letters of their first caption."""

    name, fingerprint, embed_dim, own_classes, text = "letters", "l1", 26, None, Letters()

    def __init__(self) -> None:
        self.num_embedded = 0

    def embed(self, source: Source) -> Embeddings:
        self.num_embedded += len(source)
        examples = [source.read(index) for index in range(len(source))]
        vectors = self.text.embed([f"A photo depicts {one.captions[0]}" for one in examples])
        keys = tuple(one.key for one in examples)
        return Embeddings(vectors, np.ones(len(keys)), keys, np.full(len(keys), -1), ())


def judged(model: Captioner, data: Source, **options: Any) -> CaptionsResult:
    (result,) = captions([model], data=[data], **options).results
    return result


@pytest.fixture
def exact() -> dict[str, str]:
    return {key: several[-1] for key, several in TRUTH.items()}


def test_what_people_wrote_is_judged_best_and_the_baseline_worse(exact) -> None:
    parrot = Parrot(exact)
    assert isinstance(parrot, Captioner)
    found = judged(parrot, Captioned(TRUTH), bootstrap=50)
    assert found.scores.bleu_4.value == 1
    assert found.scores.cider_d.value > 5 > 3 > found.baseline.cider_d.value
    assert found.baseline_caption in {text for several in TRUTH.values() for text in several}
    assert (found.baseline_from, found.num_pictures, found.num_missing) == ("photos", 4, 0)
    assert found.scores.clip_score is None
    assert {one.key: one.expected for one in found.judged} == TRUTH
    assert [one.cider_d for one in found.judged] == sorted(one.cider_d for one in found.judged)
    assert json.loads(found.model_dump_json())["scores"]["cider_d"]["low"] == found.scores.cider_d.low


def test_captions_of_the_wrong_pictures_score_low(exact) -> None:
    keys = list(exact)
    turned = {key: exact[keys[place - 1]] for place, key in enumerate(keys)}
    right = judged(Parrot(exact), Captioned(TRUTH), bootstrap=10, scorer=LetterModel())
    wrong = judged(Parrot(turned), Captioned(TRUTH), bootstrap=10, scorer=LetterModel())
    assert wrong.scores.cider_d.value < 0.3 * right.scores.cider_d.value
    assert wrong.scores.bleu_1.value < right.scores.bleu_1.value
    for name in ("clip_score", "ref_clip_score"):
        assert 0 < getattr(wrong.scores, name).value < getattr(right.scores, name).value
    # The last picture's only caption is itself: a cosine of 1, by model and by words.
    best = next(one for one in right.judged if one.key == "d")
    assert best.clip_score == pytest.approx(2.5)


def test_a_missing_caption_counts_as_an_empty_one(exact) -> None:
    del exact["b"]
    found = judged(Parrot(exact), Captioned(TRUTH), bootstrap=10)
    assert (found.num_missing, found.num_pictures) == (1, 4)
    assert (found.judged[0].key, found.judged[0].text, found.judged[0].cider_d) == ("b", "", 0)


def test_broken_pictures_and_those_without_captions_are_left_out(exact) -> None:
    many = {f"more {number}": ("a cat",) for number in range(20)}
    data = Captioned({**TRUTH, "torn": None, "silent": (), **many})
    parrot = Parrot(exact)
    found = judged(parrot, data, bootstrap=10)
    assert found.skipped == {"torn": "torn"}
    assert found.num_pictures == 24
    assert "silent" not in parrot.asked
    with pytest.raises(TooManyBrokenError):
        judged(parrot, Captioned({"a": ("a dog",), "b": None, "c": None}))


def test_the_baseline_may_come_from_training_pictures(exact) -> None:
    train = Captioned({"x": ("a zebra",), "y": ("a zebra grazes",), "z": ("nothing alike",)}, "train")
    found = judged(Parrot(exact), Captioned(TRUTH), train=train, bootstrap=10)
    assert (found.baseline_from, found.baseline_caption) == ("train", "a zebra grazes")


def test_captions_come_from_a_file_as_well(exact, tmp_path) -> None:
    file = tmp_path / "captions.jsonl"
    lines = [{"key": key, "text": text, "time": 1.5} for key, text in exact.items()] + [{"key": "other", "text": "-"}]
    file.write_text("\n\n".join(map(json.dumps, lines)))
    found = captions(data=[Captioned(TRUTH)], answers=file, bootstrap=10).results[0]
    model = judged(Parrot(exact), Captioned(TRUTH), bootstrap=10)
    assert found.scores == model.scores
    assert found.model == str(file)
    before = found.fingerprint
    file.write_text("\n".join(map(json.dumps, lines[:3])))
    assert WrittenCaptions(file).fingerprint != before
    (tmp_path / "captions.json").write_text(json.dumps(lines))
    again = captions(data=[Captioned(TRUTH)], answers=tmp_path / "captions.json", bootstrap=10).results[0]
    assert again.scores == model.scores


def test_a_text_may_hold_ends_of_lines_that_are_none_in_json(exact, tmp_path) -> None:
    file = tmp_path / "captions.jsonl"
    texts = {key: f"{text}\u2028and\x85more" for key, text in exact.items()}
    lines = [json.dumps({"key": key, "text": text}, ensure_ascii=False) for key, text in texts.items()]
    file.write_bytes("\r\n".join([*lines, ""]).encode())
    assert WrittenCaptions(file).caption(Captioned(TRUTH)).texts == texts


def test_several_models_on_several_data_sets_with_a_gap_for_each_that_does_not_fit(exact, tmp_path) -> None:
    photos, mute = Captioned(TRUTH), Captioned({"x": (), "y": ()}, "mute")
    other = Captioned({"a": ("a cat",), "b": ("children in the snow",), "e": ("a man",)}, "other")
    models = [Parrot(exact), Silent(), Parrot({**exact, "e": "a man"})]
    table = tmp_path / "t.csv"
    found = captions(models, data=[photos, mute, other], bootstrap=10, csv=table)
    assert [(one.model, one.data) for one in found.results] == [("parrot", "photos"), ("parrot", "other")] * 2
    assert {(one.model, one.data) for one in found.missing} == {
        *(("silent", data.name) for data in (photos, mute, other)),
        ("parrot", "mute"),
    }
    reasons = {one.data: one.reason for one in found.missing if one.model == "silent"}
    assert "silent only answers questions" in reasons["photos"]
    assert "mute has none" in reasons["mute"]
    assert [one.num_missing for one in found.results] == [0, 1, 0, 0]
    assert found.results[0].scores == found.results[2].scores
    assert found.results[1].scores.cider_d.value < found.results[3].scores.cider_d.value
    # What people wrote is read once, however many models are judged by it.
    assert (photos.num_read, other.num_read) == (4, 3)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["CIDEr-D"] != "" for row in rows] == [True] * 4 + [False] * 5
    assert float(rows[1]["CIDEr-D low"]) == found.results[1].scores.cider_d.low
    assert "writes captions" in rows[5]["why not"]


def test_a_scorer_is_remembered(exact, tmp_path) -> None:
    store, scorer = VectorStore(tmp_path), LetterModel()
    first, again = (
        captions([Parrot(exact)] * 2, data=[Captioned(TRUTH)], scorer=scorer, cache=store, bootstrap=10)
        for _ in range(2)
    )
    assert scorer.num_embedded == 4
    assert first == again
    assert first.results[0].scorer == "letters"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"key": "a"}', "the key 'text' in object 1 of .*captions.jsonl, but it is missing"),
        ('{"key": 3, "text": "x"}', "a valid 'key' in object 1"),
        ("[1]", "named settings in object 1"),
        ('{"key": "a", "text": "x"}\n{"key"', "a JSON object in every line .* line 2 is none"),
        ('{"key": "a", "text": "x"}\n{"key": "a", "text": "y"}', "one text each .* 'a' has two"),
        ('{"key": "photos/a", "text": "x"}', "whose first picture is 'a', but it speaks of 'photos/a'"),
        ("", "it is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(tmp_path, text, message) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        captions(data=[Captioned(TRUTH)], answers=file)
    assert "\n" not in str(caught.value)


def test_what_is_refused(exact, mean_colour, tmp_path) -> None:
    data = Captioned(TRUTH)
    with pytest.raises(InputError, match="a model or --answers, but none came"):
        captions(data=[data])
    with pytest.raises(InputError, match="a model or --answers, but both came"):
        captions([Parrot(exact)], data=[data], answers=tmp_path / "some.jsonl")
    with pytest.raises(InputError, match="at least one model and one data set"):
        captions([Parrot(exact)], data=[])
    with pytest.raises(InputError, match="no such file exists"):
        captions(data=[data], answers=tmp_path / "some.jsonl")
    with pytest.raises(InputError, match="pictures with captions, but photos has none"):
        judged(Parrot(exact), Captioned({"a": (), "b": ()}))
    with pytest.raises(InputError, match="at least two pictures with captions"):
        judged(Parrot(exact), Captioned({"a": ("a dog",)}))
    with pytest.raises(InputError, match="a scorer that reads text, but colour sees pictures only"):
        judged(Parrot(exact), data, scorer=mean_colour())
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        judged(Parrot(exact), data, bootstrap=0)
