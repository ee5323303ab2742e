"""Texts into numbers of tokens, by a model's own vocabulary: cleaned, cut, ended and padded as in its training.

The vocabulary is the JSON text that the library `tokenizers` reads. How texts are cleaned before, and what they are
filled up with, are settings of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.marks import MARKS
from chiasm.data._cleaning import STEPS, Step

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Vocabulary


class Tokenizer:
    """Texts in, rows of tokens of one length out.

    What a person writes never becomes a mark of our own vocabularies; in those of public models, and where a model adds
    tokens of its own (`with_tokens`), a text may hold marks.

    Args:
        vocabulary: JSON text of a tokenizer.
        context_length: tokens of every text: longer ones are cut before their end token, shorter ones filled up.
        padding: number of the token that they are filled up with.
        cleaning: what is done to a text first.

    Raises:
        InputError: the vocabulary cannot be read.
    """

    def __init__(self, vocabulary: str, context_length: int, padding: int, cleaning: Sequence[Step]) -> None:
        self._vocabulary = _read(vocabulary)
        self._vocabulary.no_padding()
        self._vocabulary.enable_truncation(context_length)
        self.context_length = context_length
        self.vocab_size = self._vocabulary.get_vocab_size()
        self.padding = padding
        self._cleaning = [STEPS[step] for step in cleaning]

    def __call__(self, texts: Sequence[str]) -> Int64[Tensor, "B T"]:
        """The tokens of texts, `context_length` of each."""
        found = self._vocabulary.encode_batch([self._cleaned(text) for text in texts])
        tokens = torch.full((len(texts), self.context_length), self.padding, dtype=torch.int64)
        for row, encoding in zip(tokens, found, strict=True):
            row[: len(encoding.ids)] = torch.tensor(encoding.ids, dtype=torch.int64)
        return tokens

    def whole(self, text: str) -> tuple[int, ...]:
        """The tokens of a text with those around it, at most `context_length`; nothing is filled up."""
        return tuple(self._vocabulary.encode(self._cleaned(text)).ids)

    def numbers(self, text: str) -> tuple[int, ...]:
        """The tokens of a text alone: nothing is put before or after it, nothing is cut."""
        return tuple(self._uncut.encode(self._cleaned(text), add_special_tokens=False).ids)

    def number(self, token: str) -> int:
        """The number of one token, as the vocabulary writes it ("[SEP]").

        Raises:
            InputError: the vocabulary has no such token.
        """
        found = self._vocabulary.token_to_id(token)
        if found is None:
            do = "take tokenizer and weights from the same repository"
            raise InputError(f"a tokenizer with the token {token}", "it has none", do)
        return found

    def words(self, tokens: Sequence[int]) -> str:
        """The text that tokens stand for, without those that mean no words."""
        text = self._vocabulary.decode(list(tokens), skip_special_tokens=True)
        # CLIP's vocabulary marks where a word ends within the token, which its decoder of bytes leaves there.
        mark = getattr(self._vocabulary.model, "end_of_word_suffix", None)
        return " ".join(text.replace(mark, " ").split()) if mark else text.strip()

    @cached_property
    def _uncut(self) -> Vocabulary:
        """The vocabulary again: whether it cuts is a state of the object, which other threads may be using."""
        found = _read(self._vocabulary.to_str())
        found.no_truncation()
        return found

    def _cleaned(self, text: str) -> str:
        # Lone surrogates, as file names may hold them, are no text to any tokenizer.
        text = text.encode("utf-8", errors="replace").decode()
        for step in self._cleaning:
            text = step(text)
        return text


def with_tokens(vocabulary: str, tokens: Sequence[str]) -> str:
    """A vocabulary with tokens of a model's own, which stand for no words; those that it lacks get the next numbers.

    Args:
        vocabulary: JSON text of a tokenizer.
        tokens: as they are written in a text ("<image>").

    Raises:
        InputError: the vocabulary cannot be read.
    """
    found = _read(vocabulary)
    found.add_special_tokens(list(tokens))
    return found.to_str()


def _read(vocabulary: str) -> Vocabulary:
    # Imported late: a model that reads no text needs none.
    from tokenizers import Tokenizer as Vocabulary

    try:
        found = Vocabulary.from_str(vocabulary)
    except Exception as error:
        # The library raises nothing more special.
        raise InputError("a tokenizer in JSON", f"it cannot be read ({error})", "copy it again") from None
    # Public models read marks in a text as such; in ours they are letters. JSON does not keep which.
    special = {token.content for token in found.get_added_tokens_decoder().values() if token.special}
    found.encode_special_tokens = special == set(MARKS)
    return found


class Config(BaseConfig):
    """Settings of a tokenizer, all but its vocabulary.

    Attributes:
        padding: number of the token that short texts are filled up with.
        cleaning: what is done to a text first, in this order.
    """

    padding: int = Field(default=0, ge=0)
    cleaning: tuple[Step, ...] = ()

    def build(self, vocabulary: str, context_length: int) -> Tokenizer:
        """Make the tokenizer from its vocabulary.

        Raises:
            InputError: the vocabulary cannot be read.
        """
        return Tokenizer(vocabulary, context_length, self.padding, self.cleaning)
