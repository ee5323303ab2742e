"""Texts about pictures: what describe chooses, how match sorts, what ask shows first, tables, refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.parquet
import pytest

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError
from chiasm.core.example import Example, QuestionAnswer, Source
from chiasm.core.manner import Manner
from chiasm.core.predictors import Answers, Captions, Matches
from chiasm.data.skipped import Skipped
from chiasm.tasks.ask import ask
from chiasm.tasks.describe import describe
from chiasm.tasks.match import match


class Album:
    """Grey pictures with captions and questions."""

    name, classes = "album", ()

    def __init__(self, captions: Sequence[Sequence[str]], questions: int = 1) -> None:
        self._captions = captions
        self._questions = (QuestionAnswer("what", "What is it?", "a dog"),) * questions

    def __len__(self) -> int:
        return len(self._captions)

    def key(self, index: int) -> str:
        return f"{index}.jpg"

    def label(self, index: int) -> None:
        return None

    def digest(self, index: int) -> str:
        return str(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        pixels = np.full((8, 8, 3), index, np.uint8)
        return Example(self.key(index), pixels, captions=tuple(self._captions[index]), questions=self._questions)


class Teller:
    """Says what it was given: a caption, then draws by their seeds; remembers how many pictures came at once."""

    name, fingerprint = "teller", "print"
    SAID = (
        ("a dog on a beach", 0.9),
        ("the dog and a beach", 0.95),
        ("a brown dog", 0.7),
        ("a dog with a red ball", 0.4),
        ("a dog in the rain", 0.2),
        ("a brown dog with a ball", 0.6),
    )

    def __init__(self) -> None:
        self.at_once: list[int] = []

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        self.at_once.append(len(source))
        place = 0 if manner is None or manner.top_p is None else 1 + manner.seed % 5
        text, sure = self.SAID[place]
        keys = [source.key(index) for index in range(len(source))]
        return Captions(dict.fromkeys(keys, text), (), dict.fromkeys(keys, sure))


def test_a_description_goes_from_sure_to_doubtful_and_never_repeats():
    found = describe(Teller(), Album([()]), sentences=4, draws=5).descriptions[0]
    assert (
        found.text
        == "A dog on a beach. Probably: a brown dog. Probably: a brown dog with a ball. Perhaps: a dog with a red ball."
    )
    assert [one.certainty for one in found.sentences] == [0.9, 0.7, 0.6, 0.4]


def test_a_description_ends_where_the_model_is_too_unsure():
    found = describe(Teller(), Album([()]), sentences=9, draws=5, least=0.65).descriptions[0]
    assert found.text == "A dog on a beach. Probably: a brown dog."
    assert describe(Teller(), Album([()]), sentences=1).descriptions[0].text == "A dog on a beach."


def test_many_pictures_are_described_a_few_at_a_time(tmp_path):
    teller = Teller()
    found = describe(teller, Album([()] * 70), draws=2, out=tmp_path / "texts.parquet")
    assert teller.at_once == [64] * 3 + [6] * 3
    assert (found.num_descriptions, found.descriptions) == (70, ())
    table = pyarrow.parquet.read_table(tmp_path / "texts.parquet").to_pydict()
    assert table["key"][69] == "69.jpg"
    assert table["text"][69].startswith("A dog on a beach.")


class Careful(Teller):
    """The same, but for pictures without a caption, which it cannot read; of few pictures it forgives one in ten."""

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        found, skipped = super().caption(source, manner, beginning), Skipped()
        for index in range(len(source)):
            key = source.key(index)
            skipped.seen(key)
            if not source.read(index).captions:
                skipped.broken(BrokenPictureError(key, "torn"))
        skipped.finish()
        broken = dict(skipped.entries)
        return Captions(
            {key: text for key, text in found.texts.items() if key not in broken},
            skipped.entries,
            {key: sure for key, sure in found.certainty.items() if key not in broken},
        )


@pytest.mark.parametrize("torn", [[64], [1, *range(64, 70)], range(58, 64)])
def test_how_many_may_be_broken_is_judged_over_all_pictures(torn):
    pictures = Album([() if place in torn else ("a dog",) for place in range(max(max(torn) + 1, 65))])
    found = describe(Careful(), pictures, draws=2)
    assert found.num_descriptions == len(pictures) - len(torn)
    assert list(found.skipped) == [f"{place}.jpg" for place in torn]
    assert {one.text for one in found.descriptions} == {"A dog on a beach. Probably: a brown dog."}


def test_too_many_broken_pictures_of_all_are_refused():
    with pytest.raises(TooManyBrokenError, match="13 of 70 cannot be read"):
        describe(Careful(), Album([("a dog",) if place > 12 else () for place in range(70)]))


@pytest.mark.parametrize("wrong", [{"sentences": 0}, {"draws": -1}, {"least": 1.5}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="at least 1 of sentences"):
        describe(Teller(), Album([()]), **wrong)


class Judge:
    """Finds texts more fitting the longer they are."""

    name = "judge"

    def match(self, source: Source, texts: Mapping[str, Sequence[str]]) -> Matches:
        pairs = [(key, one) for key, several in texts.items() for one in several]
        cosines = {pair: len(pair[1]) / 100 for pair in pairs}
        return Matches(cosines, {pair: 1 - value for pair, value in cosines.items() if "sure" in pair[1]})


def test_own_captions_come_worst_first():
    found = match(Judge(), Album([("long words", "short"), (), ("mid one", "mid one")]))
    assert [(one.key, one.text) for one in found.matches] == [
        ("0.jpg", "short"),
        ("2.jpg", "mid one"),
        ("0.jpg", "long words"),
    ]
    assert found.matches[0].probability is None


class Torn(Album):
    """Pictures of which those without captions cannot be read."""

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        if not self._captions[index]:
            raise BrokenPictureError(self.key(index), "torn")
        return super().read(index, min_side_px)


def test_own_captions_of_pictures_that_cannot_be_read_are_told():
    found = match(Judge(), Torn([("a dog",)] * 9 + [()]))
    assert (found.num_matches, found.skipped) == (9, {"9.jpg": "torn"})
    with pytest.raises(TooManyBrokenError, match="1 of 3 cannot be read"):
        match(Judge(), Torn([("a dog",), (), ("a cat",)]))
    with pytest.raises(TooManyBrokenError, match="at least one readable picture"):
        match(Judge(), Torn([(), ()]))


def test_given_texts_are_held_against_every_picture(tmp_path):
    found = match(Judge(), Album([(), ()]), text=["surely", "no"])
    assert [(one.key, one.text) for one in found.matches] == [
        ("0.jpg", "surely"),
        ("0.jpg", "no"),
        ("1.jpg", "surely"),
        ("1.jpg", "no"),
    ]
    assert found.matches[0].probability == pytest.approx(0.94)
    written = match(Judge(), Album([(), ()]), text=["surely", "no"], out=tmp_path / "m.csv")
    assert (written.num_matches, written.matches) == (4, ())
    assert (tmp_path / "m.csv").read_text().splitlines()[0].replace('"', "") == "key,text,probability,cosine"


def test_texts_that_are_none_are_refused():
    with pytest.raises(InputError, match="texts, or pictures with captions"):
        match(Judge(), Album([(), ()]))
    for empty in ([], [" "]):
        with pytest.raises(InputError, match="texts to hold against pictures"):
            match(Judge(), Album([()]), text=empty)


class Plain:
    """Answers without looking."""

    name, fingerprint = "plain", "print"

    def answer(self, source, questions, choices=(), manner=None) -> Answers:
        return Answers({(key, one): "yes" for key, several in questions.items() for one in several})


class Shown(Plain):
    """Remembers what it was shown."""

    def after(self, examples: Source, shots: int) -> Plain:
        self.shown = (examples.name, shots)
        return self


def test_examples_are_shown_first():
    model = Shown()
    ask(model, Album([()]), "Is it?", examples=Album([()] * 3), shots=2)
    assert model.shown == ("album", 2)
    with pytest.raises(InputError, match="at least 1 of --shots"):
        ask(model, Album([()]), "Is it?", examples=Album([()]), shots=0)
    with pytest.raises(InputError, match="a model that learns from examples that it is shown, but plain does not"):
        ask(Plain(), Album([()]), "Is it?", examples=Album([()]))


def test_shots_are_of_examples():
    model = Shown()
    ask(model, Album([()]), "Is it?", examples=Album([()] * 9))
    assert model.shown == ("album", 4)
    for shots in (0, 2):
        with pytest.raises(InputError, match="examples to show shots of, but shots came alone"):
            ask(model, Album([()]), "Is it?", shots=shots)
