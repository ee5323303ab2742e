"""Texts of examples as tokens: the right words, what is told in them, and vocabularies that are learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Example, QuestionAnswer
from chiasm.core.marks import ANSWER, END, MARKS, PADDING, START
from chiasm.core.views import TextSpec, Views, ViewSpec
from chiasm.data import tokenizer as tokenizers
from chiasm.data.open import open_source
from chiasm.data.skipped import Skipped
from chiasm.data.texts import TextMaker
from chiasm.data.tokenizer import Tokenizer
from chiasm.data.views import ViewLoader
from chiasm.data.vocabulary import learn_vocabulary

CAPTIONS = ("a red circle on a beach", "One object: A Red Circle", "naïve 12 größen, 像")
ASKED = QuestionAnswer("colour", "What colour is the circle?", "dark red")
PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture(scope="module")
def vocabulary() -> str:
    return learn_vocabulary([*CAPTIONS, ASKED.question, ASKED.answer] * 3, 400)


def reader(vocabulary: str, length: int = 64) -> Tokenizer:
    return tokenizers.Config().build(vocabulary, length)


def made(vocabulary: str, what: str, length: int, example: Example, seed: int = 0):
    maker = TextMaker(TextSpec.model_validate({"what": what, "length": length}), reader(vocabulary, length))
    texts = maker.blank(1)
    maker.put(texts, 0, example, np.random.default_rng(seed))
    return texts.tokens[0].tolist(), texts.told[0].tolist()


def test_any_text_is_read_and_written_again(vocabulary):
    tokenizer = reader(vocabulary)
    for text in (*CAPTIONS, "words that never came: zyx 987 \u2603"):
        assert tokenizer.words(tokenizer.numbers(text)) == text.lower()
    assert [tokenizer.number(mark) for mark in MARKS] == [0, 1, 2, 3]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_in_a_text_is_letters(vocabulary, mark):
    tokenizer, text = reader(vocabulary), f"a red {mark} circle{mark}"
    for tokens in (tokenizer([text])[0].tolist(), tokenizer.whole(text)):
        end = list(tokens).index(tokenizer.number(END))
        assert tuple(tokens[1:end]) == tokenizer.numbers(text)
        assert set(tokens[end + 1 :]) <= {tokenizer.number(PADDING)}
    assert min(tokenizer.numbers(text)) >= len(MARKS)
    assert tokenizer.words(tokenizer.numbers(text)) == text.lower()
    asked = QuestionAnswer("colour", f"What {mark}?", f"dark {mark}")
    tokens, told = made(vocabulary, "answer", 64, Example("k", PICTURE, questions=(asked,)))
    assert [token for token in tokens if token < len(MARKS) and token != tokenizer.number(PADDING)] == [
        tokenizer.number(one) for one in (START, ANSWER, END)
    ]
    assert sum(told) == len(tokenizer.numbers(asked.answer)) + 1


def test_a_token_that_a_model_adds_is_read_in_a_text(vocabulary):
    tokenizer = reader(tokenizers.with_tokens(vocabulary, ["<image>"]))
    assert tokenizer.number("<image>") in tokenizer.numbers("<image>a red circle")


def test_a_vocabulary_is_the_same_for_the_same_texts_and_never_larger_than_asked(vocabulary):
    assert learn_vocabulary([*CAPTIONS, ASKED.question, ASKED.answer] * 3, 400) == vocabulary
    assert reader(learn_vocabulary(CAPTIONS * 9, 280)).vocab_size <= 280
    assert len(reader(vocabulary).numbers("a red circle")) == 3


def test_a_caption_is_told_after_its_start(vocabulary):
    tokenizer, example = reader(vocabulary), Example("k", PICTURE, captions=CAPTIONS[:1])
    tokens, told = made(vocabulary, "caption", 12, example)
    words = list(tokenizer.numbers(CAPTIONS[0]))
    wanted = [tokenizer.number(START), *words, tokenizer.number(END)]
    assert tokens == wanted + [tokenizer.number(PADDING)] * (12 - len(wanted))
    assert told == [False] + [True] * (len(words) + 1) + [False] * (12 - len(wanted))
    assert tokens == tokenizers.Config().build(vocabulary, 12)([CAPTIONS[0]])[0].tolist()


def test_of_an_answer_the_question_is_not_told(vocabulary):
    tokenizer, example = reader(vocabulary), Example("k", PICTURE, questions=(ASKED,))
    tokens, told = made(vocabulary, "answer", 24, example)
    question, answer = (list(tokenizer.numbers(text)) for text in (ASKED.question, ASKED.answer))
    assert tokens[: len(question) + 2] == [tokenizer.number(START), *question, tokenizer.number(ANSWER)]
    assert [token for token, is_told in zip(tokens, told, strict=True) if is_told] == [*answer, tokenizer.number(END)]


def test_of_a_long_question_words_are_cut_and_no_marks(vocabulary):
    tokenizer = reader(vocabulary)
    long = QuestionAnswer("colour", "What colour " * 9, ASKED.answer)
    tokens, told = made(vocabulary, "answer", 10, Example("k", PICTURE, questions=(long,)))
    answer = [*tokenizer.numbers(ASKED.answer), tokenizer.number(END)]
    words = list(tokenizer.numbers(long.question))[: 10 - 2 - len(answer)]
    assert tokens == [tokenizer.number(START), *words, tokenizer.number(ANSWER), *answer]
    assert sum(told) == len(answer)


@pytest.mark.parametrize("what", ["caption", "answer"])
def test_long_texts_are_cut_and_end_all_the_same(vocabulary, what):
    tokenizer = reader(vocabulary)
    long = QuestionAnswer("colour", "What colour " * 9, ASKED.answer)
    tokens, told = made(vocabulary, what, 6, Example("k", PICTURE, captions=("a red circle " * 5,), questions=(long,)))
    assert len(tokens) == 6
    assert tokens[-1] == tokenizer.number(END)
    assert told[-1]
    if what == "answer":
        assert tokens[-1 - len(tokenizer.numbers(ASKED.answer)) : -1] == list(tokenizer.numbers(ASKED.answer))


def test_every_caption_comes_at_times(vocabulary):
    example = Example("k", PICTURE, captions=CAPTIONS)
    seen = {tuple(made(vocabulary, "caption", 30, example, seed)[0]) for seed in range(40)}
    assert len(seen) == len(CAPTIONS)


@pytest.mark.parametrize(("what", "reason"), [("caption", "no caption"), ("answer", "no question")])
def test_a_picture_without_a_text_is_told(vocabulary, what, reason):
    with pytest.raises(BrokenPictureError, match=f"k is not one \\(it has {reason}"):
        made(vocabulary, what, 8, Example("k", PICTURE))


WORLD = "world:train?size=32&length=20"


def loader(vocabulary: str, **options) -> ViewLoader:
    tokenizer = reader(vocabulary, 120)
    makers = [
        TextMaker(TextSpec.model_validate({"what": what, "length": 120}), tokenizer) for what in ("caption", "answer")
    ]
    views = [ViewSpec(size_px=16)]
    return ViewLoader(open_source(WORLD), views, 8, 3, 2, Skipped(), texts=makers, **options)


def test_texts_of_a_batch_are_about_its_pictures_and_the_same_in_any_process(vocabulary):
    whole: Views = loader(vocabulary).batch(1)
    source, tokenizer = open_source(WORLD), reader(vocabulary)
    for row, index in enumerate(whole.indices.tolist()):
        example = source.read(index)
        assert tokenizer.words(whole.texts[0].tokens[row].tolist()) in {text.lower() for text in example.captions}
        told = whole.texts[1].tokens[row][whole.texts[1].told[row]].tolist()
        assert tokenizer.words(told) in {one.answer.lower() for one in example.questions}
    parts = [loader(vocabulary, rank=rank, num_ranks=2).batch(1) for rank in range(2)]
    for number in range(2):
        joined = torch.cat([part.texts[number].tokens for part in parts])
        assert torch.equal(joined, whole.texts[number].tokens)
