"""Words of captions and plain answers: what is the same and what is not."""

from __future__ import annotations

import pytest

from chiasm.ops.words import caption_words, plain_answer

NOTHING = [("A", ""), ("A", "?"), ("The", "a"), ("?", ""), ("\U0001f600", "")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man, in a RED shirt.", "a man in a red shirt"),
        ("The man's dog doesn't bark!", "the man 's dog does n't bark"),
        ("The man\u2019s dog", "the man 's dog"),
        ("a black-and-white photo -- old", "a black-and-white photo old"),
        ("It costs 1,000.50 at 10:30", "it costs 1,000.50 at 10:30"),
        ("they're (both) \u201cready\u201d...", "they 're both ready"),
        ("Ein Käfer am Straßenrand", "ein käfer am straßenrand"),
        ("", ""),
        (" ?! ", ""),
    ],
)
def test_captions_become_words(text: str, words: str) -> None:
    assert caption_words(text) == tuple(words.split())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Cat", "cat"),
        ("two", "2"),
        ("none", "zero"),
        ("1,000", "1000"),
        ("dont know", "don't know"),
        ("red/blue", "red blue"),
        ("Yes.", "yes"),
        ("an  umbrella", "umbrella"),
        ("U.S.", "us"),
        ("A", "a."),
    ],
)
def test_answers_that_say_the_same_are_equal(one: str, other: str) -> None:
    assert plain_answer(one) == plain_answer(other)


@pytest.mark.parametrize(
    ("one", "other"), [("1.5", "15"), ("10:30", "1030"), ("its", "it's"), ("theatre", "atre"), *NOTHING]
)
def test_answers_that_differ_stay_apart(one: str, other: str) -> None:
    assert plain_answer(one) != plain_answer(other)
