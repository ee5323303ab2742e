"""How a text about a picture is put: what stands before a caption or an answer, and what ends it.

Paper: Awadalla et al., 2023, arXiv 2308.01390 (`Spoken`: the wording of OpenFlamingo's evaluation).
Differs: OpenFlamingo's texts are put in this way when it is judged, and its captions stood without a word before them
when it learned; here both are put alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from chiasm.core.marks import ANSWER, END, START
from chiasm.data.tokenizer import Tokenizer

PICTURE_MARK, END_MARK = "<image>", "<|endofchunk|>"


class Phrases(ABC):
    """One way to put texts.

    Attributes:
        end: the token that ends them; None where the words bring their own.
    """

    end: str | None

    @abstractmethod
    def caption(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """What stands before a caption."""

    @abstractmethod
    def answer(self, tokenizer: Tokenizer, question: str, most: int | None = None) -> tuple[int, ...]:
        """A question, and what stands between it and its answer.

        Args:
            tokenizer: of the vocabulary.
            question: about a picture.
            most: tokens that there is room for; words of a longer question are cut, never what stands around them.
        """

    @abstractmethod
    def words(self, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
        """Words of a person, without marks that mean something here."""


class Marked(Phrases):
    """Between marks of our own vocabularies."""

    end = END

    def caption(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The start mark."""
        return (tokenizer.number(START),)

    def answer(self, tokenizer: Tokenizer, question: str, most: int | None = None) -> tuple[int, ...]:
        """The question between its marks."""
        return _around((tokenizer.number(START),), self.words(tokenizer, question), (tokenizer.number(ANSWER),), most)

    def words(self, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
        """The words as they are: to a tokenizer of our own vocabularies marks in a text are letters."""
        return tokenizer.numbers(text)


class Own(Phrases):
    """As the vocabulary itself puts a text, with the tokens around it that a model met in its training."""

    end = None

    def caption(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Nothing."""
        del tokenizer
        return ()

    def answer(self, tokenizer: Tokenizer, question: str, most: int | None = None) -> tuple[int, ...]:
        """No vocabulary says how.

        Raises:
            TypeError: always.
        """
        raise TypeError("a vocabulary puts no questions of its own")

    def words(self, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
        """The words and what the vocabulary puts around them, cut to the length of a text."""
        return tokenizer.whole(text)


class Spoken(Phrases):
    """In words, after the mark that the picture stands at, as a Flamingo is asked."""

    end = END_MARK

    def caption(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The picture, and that a caption follows."""
        return (tokenizer.number(PICTURE_MARK), *tokenizer.numbers("Output:"))

    def answer(self, tokenizer: Tokenizer, question: str, most: int | None = None) -> tuple[int, ...]:
        """The picture, the question, and that the answer follows."""
        before = (tokenizer.number(PICTURE_MARK), *tokenizer.numbers("Question:"))
        return _around(before, self.words(tokenizer, question), tokenizer.numbers(" Short answer:"), most)

    def words(self, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
        """The words without marks: there is no picture that these could stand for."""
        marks = {tokenizer.number(mark) for mark in (PICTURE_MARK, END_MARK)}
        return tuple(number for number in tokenizer.numbers(text.strip()) if number not in marks)


def _around(
    before: tuple[int, ...], words: tuple[int, ...], after: tuple[int, ...], most: int | None
) -> tuple[int, ...]:
    """Words between others; their end is cut where all together are more tokens than there may be."""
    room = len(words) if most is None else max(0, most - len(before) - len(after))
    return (*before, *words[:room], *after)


MARKED, SPOKEN = Marked(), Spoken()
PHRASES: dict[str, Phrases] = {"marked": MARKED, "own": Own(), "spoken": SPOKEN}
"""By what `core.views.TextSpec` calls them."""
