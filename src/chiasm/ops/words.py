"""Words of captions and answers, so that texts are compared by what they say and not by how they are set.

`caption_words` stands in for the Penn Treebank tokeniser of coco-caption, which is a Java program: lower case, no
punctuation, clitics apart ("the man's" is "the man 's", "don't" is "do n't"), words with hyphens whole.
Differs: all punctuation and all signs go, where the other keeps "$", "&" and "%" as words; abbreviations lose their
    full stops ("U.S." is "u s"); "cannot", "gonna" and their like stay whole; typographic apostrophes are read as plain
    ones.

`plain_answer` brings answers to one form before they are compared for being the same.

Paper: Antol et al., 2015, "VQA: Visual Question Answering" (arXiv 1505.00468), section 3; the steps are those that
    visualqa.org/evaluation.html lists.
Differs: an apostrophe is put back only into contractions that are hardly another word without it ("dont", not
    "its"); answers are brought to this form whether or not the annotators agree; one of which nothing would be left
    ("A") stays, where the other makes it equal to no answer at all.
"""

from __future__ import annotations

import re

_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc", "'''")
_WORD = re.compile(r"\d+(?:[.,:]\d+)+|\w+(?:['-]\w+)*")
_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|m|d|re|ve|ll))$")

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}
_CONTRACTIONS = {
    word.replace("'", ""): word
    for word in (
        "aren't",
        "can't",
        "couldn't",
        "didn't",
        "doesn't",
        "don't",
        "hadn't",
        "hasn't",
        "haven't",
        "isn't",
        "mustn't",
        "shouldn't",
        "wasn't",
        "weren't",
        "won't",
        "wouldn't",
        "i'm",
        "i've",
        "you're",
        "you've",
        "they're",
        "they've",
        "we've",
        "could've",
        "should've",
        "would've",
        "that's",
        "there's",
        "what's",
        "where's",
        "who's",
        "he's",
        "she's",
    )
}
_BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d)")
_STOPS = re.compile(r"(?<!\d)\.|\.(?!\d)")
_SIGNS = re.compile(r"[^\w\s':.]")


def caption_words(text: str) -> tuple[str, ...]:
    """The words of a caption, in order."""
    words: list[str] = []
    for word in _WORD.findall(text.translate(_APOSTROPHES).lower()):
        parted = _CLITIC.split(word)
        words += [part for part in parted if part]
    return tuple(words)


def plain_answer(text: str) -> str:
    """An answer in the form in which two that say the same are equal.

    Lower case; commas within numbers, full stops that are no decimal points and articles go; all other punctuation but
    apostrophes and colons becomes a blank; numbers up to ten are digits; contractions have their apostrophe. An
    answer of which nothing would be left ("A", "?") keeps its letters and signs, so that it equals itself alone.
    """
    text = text.translate(_APOSTROPHES).lower()
    bare = _SIGNS.sub(" ", _STOPS.sub("", _BETWEEN_DIGITS.sub("", text)))
    words = [_CONTRACTIONS.get(word, word) for word in (_NUMBERS.get(word, word) for word in bare.split())]
    return " ".join(word for word in words if word not in _ARTICLES) or " ".join(words) or " ".join(text.split())
