"""Caption evaluation: models and files, the baseline, what is missing, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import numpy as np
import pytest

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError
from chiasm.core.example import Example, Source
from chiasm.core.manner import Manner
from chiasm.core.predictors import Captioner, Captions, Embeddings
from chiasm.data.written import WrittenCaptions
from chiasm.evaluate.captions import captions
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

    def embed(self, source: Source) -> Embeddings:
        examples = [source.read(index) for index in range(len(source))]
        vectors = self.text.embed([f"A photo depicts {one.captions[0]}" for one in examples])
        keys = tuple(one.key for one in examples)
        return Embeddings(vectors, np.ones(len(keys)), keys, np.full(len(keys), -1), ())


@pytest.fixture
def exact() -> dict[str, str]:
    return {key: several[-1] for key, several in TRUTH.items()}


def test_what_people_wrote_is_judged_best_and_the_baseline_worse(exact) -> None:
    parrot = Parrot(exact)
    assert isinstance(parrot, Captioner)
    found = captions(parrot, data=Captioned(TRUTH), bootstrap=50)
    assert found.scores.bleu_4.value == 1
    assert found.scores.cider_d.value > 5 > 3 > found.baseline.cider_d.value
    assert found.baseline_caption in {text for several in TRUTH.values() for text in several}
    assert (found.baseline_from, found.num_pictures, found.num_missing) == ("photos", 4, 0)
    assert found.scores.clip_score is None
    assert [one.cider_d for one in found.judged] == sorted(one.cider_d for one in found.judged)
    assert json.loads(found.model_dump_json())["scores"]["cider_d"]["low"] == found.scores.cider_d.low


def test_captions_of_the_wrong_pictures_score_low(exact) -> None:
    keys = list(exact)
    turned = {key: exact[keys[place - 1]] for place, key in enumerate(keys)}
    right = captions(Parrot(exact), data=Captioned(TRUTH), bootstrap=10, scorer=LetterModel())
    wrong = captions(Parrot(turned), data=Captioned(TRUTH), bootstrap=10, scorer=LetterModel())
    assert wrong.scores.cider_d.value < 0.3 * right.scores.cider_d.value
    assert wrong.scores.bleu_1.value < right.scores.bleu_1.value
    for name in ("clip_score", "ref_clip_score"):
        assert 0 < getattr(wrong.scores, name).value < getattr(right.scores, name).value
    # The last picture's only caption is itself: a cosine of 1, by model and by words.
    best = next(one for one in right.judged if one.key == "d")
    assert best.clip_score == pytest.approx(2.5)


def test_a_missing_caption_counts_as_an_empty_one(exact) -> None:
    del exact["b"]
    found = captions(Parrot(exact), data=Captioned(TRUTH), bootstrap=10)
    assert (found.num_missing, found.num_pictures) == (1, 4)
    assert (found.judged[0].key, found.judged[0].text, found.judged[0].cider_d) == ("b", "", 0)


def test_broken_pictures_and_those_without_captions_are_left_out(exact) -> None:
    many = {f"more {number}": ("a cat",) for number in range(20)}
    data = Captioned({**TRUTH, "torn": None, "silent": (), **many})
    parrot = Parrot(exact)
    found = captions(parrot, data=data, bootstrap=10)
    assert found.skipped == {"torn": "torn"}
    assert found.num_pictures == 24
    assert "silent" not in parrot.asked
    with pytest.raises(TooManyBrokenError):
        captions(parrot, data=Captioned({"a": ("a dog",), "b": None, "c": None}))


def test_the_baseline_may_come_from_training_pictures(exact) -> None:
    train = Captioned({"x": ("a zebra",), "y": ("a zebra grazes",), "z": ("nothing alike",)}, "train")
    found = captions(Parrot(exact), data=Captioned(TRUTH), train=train, bootstrap=10)
    assert (found.baseline_from, found.baseline_caption) == ("train", "a zebra grazes")


def test_captions_come_from_a_file_as_well(exact, tmp_path) -> None:
    file = tmp_path / "captions.jsonl"
    lines = [{"key": key, "text": text, "time": 1.5} for key, text in exact.items()] + [{"key": "other", "text": "-"}]
    file.write_text("\n\n".join(map(json.dumps, lines)))
    found = captions(data=Captioned(TRUTH), answers=file, bootstrap=10)
    model = captions(Parrot(exact), data=Captioned(TRUTH), bootstrap=10)
    assert found.scores == model.scores
    assert found.model == str(file)
    before = found.fingerprint
    file.write_text("\n".join(map(json.dumps, lines[:3])))
    assert WrittenCaptions(file).fingerprint != before
    (tmp_path / "captions.json").write_text(json.dumps(lines))
    assert captions(data=Captioned(TRUTH), answers=tmp_path / "captions.json", bootstrap=10).scores == model.scores


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
        captions(data=Captioned(TRUTH), answers=file)
    assert "\n" not in str(caught.value)


def test_what_is_refused(exact, mean_colour, tmp_path) -> None:
    data = Captioned(TRUTH)
    with pytest.raises(InputError, match="a model or --answers, but none came"):
        captions(data=data)
    with pytest.raises(InputError, match="a model or --answers, but both came"):
        captions(Parrot(exact), data=data, answers=tmp_path / "some.jsonl")
    with pytest.raises(InputError, match="no such file exists"):
        captions(data=data, answers=tmp_path / "some.jsonl")
    with pytest.raises(InputError, match="pictures with captions, but photos has none"):
        captions(Parrot(exact), data=Captioned({"a": (), "b": ()}))
    with pytest.raises(InputError, match="at least two pictures with captions"):
        captions(Parrot(exact), data=Captioned({"a": ("a dog",)}))
    with pytest.raises(InputError, match="a scorer that reads text, but colour sees pictures only"):
        captions(Parrot(exact), data=data, scorer=mean_colour())
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        captions(Parrot(exact), data=data, bootstrap=0)
