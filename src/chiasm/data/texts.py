"""Texts of examples as rows of tokens, made to the order of an objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from chiasm.core.errors import WordlessPictureError
from chiasm.core.example import Example
from chiasm.core.views import Texts, TextSpec
from chiasm.data.phrases import PHRASES, Phrases
from chiasm.data.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class TextMaker:
    """Draws and tokenises the text of a picture.

    Attributes:
        spec: which text.
        tokenizer: of a vocabulary with the marks that `data.phrases` puts.
    """

    spec: TextSpec
    tokenizer: Tokenizer

    def blank(self, size: int) -> Texts:
        """Room for the texts of a batch."""
        shape = size, self.spec.length
        return Texts(torch.full(shape, self.tokenizer.padding), torch.zeros(shape, dtype=torch.bool))

    def put(self, texts: Texts, place: int, example: Example, draw: np.random.Generator) -> None:
        """Write the text of one picture into its row.

        Raises:
            WordlessPictureError: the picture has no such text.
        """
        phrases = PHRASES[self.spec.phrases]
        ends = [] if phrases.end is None else [self.tokenizer.number(phrases.end)]
        room = self.spec.length - len(ends)
        beginning, rest = _PARTS[self.spec.what](example, self.tokenizer, phrases, room, draw)
        tokens = [*beginning, *rest][:room] + ends
        # Through NumPy: every operation of PyTorch lets go of the interpreter's lock, which training then holds.
        row, told = texts.tokens[place].numpy(), texts.told[place].numpy()
        row[:] = self.tokenizer.padding
        row[: len(tokens)] = tokens
        told[:] = False
        told[len(beginning) : len(tokens)] = True


_Parts = tuple[tuple[int, ...], tuple[int, ...]]


def _caption(example: Example, tokenizer: Tokenizer, phrases: Phrases, room: int, draw: np.random.Generator) -> _Parts:
    """What stands before a caption, and one of them."""
    del room
    if not example.captions:
        raise WordlessPictureError(example.key, "it has no caption")
    text = example.captions[int(draw.integers(len(example.captions)))]
    return phrases.caption(tokenizer), phrases.words(tokenizer, text)


def _answer(example: Example, tokenizer: Tokenizer, phrases: Phrases, room: int, draw: np.random.Generator) -> _Parts:
    """A question, cut where it leaves no room for its answer, and that."""
    if not example.questions:
        raise WordlessPictureError(example.key, "it has no question")
    one = example.questions[int(draw.integers(len(example.questions)))]
    answer = phrases.words(tokenizer, one.answer)
    return phrases.answer(tokenizer, one.question, room - len(answer)), answer


_PARTS: dict[str, Callable[[Example, Tokenizer, Phrases, int, np.random.Generator], _Parts]] = {
    "caption": _caption,
    "answer": _answer,
}
