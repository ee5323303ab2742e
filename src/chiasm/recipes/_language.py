"""The words of a source: a vocabulary, learned from its texts or known before, and what makes rows of tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source
from chiasm.core.seeds import stream
from chiasm.core.views import TextSpec
from chiasm.data import tokenizer as tokenizers
from chiasm.data.processors import num_processors
from chiasm.data.texts import TextMaker
from chiasm.data.vocabulary import learn_vocabulary

MOST_READ = 4_000
"""Pictures whose texts a vocabulary is learned from; words that none of so many has are spelled."""


class Words(ABC):
    """What makes rows of tokens of the texts of a source.

    Attributes:
        marks: tokens that the vocabulary gets besides.
        settings: how texts become its tokens.
    """

    marks: tuple[str, ...]
    settings: tokenizers.Config

    @property
    @abstractmethod
    def vocabulary(self) -> str:
        """JSON text of a tokenizer, kept with the model; the same in all processes and whenever a run goes on.

        Raises:
            InputError: no picture has a caption to learn it from.
        """

    @property
    def num_tokens(self) -> int:
        """Of the vocabulary with the marks."""
        return self.tokenizer(1).vocab_size

    def tokenizer(self, length: int) -> tokenizers.Tokenizer:
        """What turns texts into rows of so many tokens."""
        vocabulary = tokenizers.with_tokens(self.vocabulary, self.marks) if self.marks else self.vocabulary
        return self.settings.build(vocabulary, length)

    def makers(self, specs: Sequence[TextSpec]) -> tuple[TextMaker, ...]:
        """What makes texts to the order of an objective."""
        return tuple(TextMaker(spec, self.tokenizer(spec.length)) for spec in specs)


@dataclass(frozen=True)
class Known(Words):
    """A vocabulary that is there: that of a language model.

    Attributes:
        told: the vocabulary.
        marks, settings: see `Words`.
    """

    told: str
    marks: tuple[str, ...]
    settings: tokenizers.Config

    @property
    def vocabulary(self) -> str:
        return self.told


@dataclass(frozen=True)
class Language(Words):
    """A vocabulary that is learned from a source.

    Attributes:
        data: pictures with captions.
        size: most tokens of the vocabulary, without marks.
        seed: draws the pictures whose texts are read.
        marks, settings: see `Words`.
    """

    data: Source
    size: int
    seed: int
    marks: tuple[str, ...] = ()
    settings: tokenizers.Config = tokenizers.Config()

    @property
    def vocabulary(self) -> str:
        return self._learned

    @cached_property
    def _learned(self) -> str:
        texts = list(self._texts())
        if not texts:
            do = "name pictures with captions: a table with a caption column, shards with .txt, or the embedded world"
            raise InputError("pictures with captions", f"{self.data.name} has none", do)
        return learn_vocabulary(texts, self.size)

    def _texts(self) -> Iterator[str]:
        """Captions, questions and answers of pictures spread over the source, in its order."""
        places = np.sort(stream(self.seed, "vocabulary").permutation(len(self.data))[:MOST_READ])
        with ThreadPoolExecutor(num_processors()) as pool:
            for texts in pool.map(self._texts_of, places.tolist()):
                yield from texts

    def _texts_of(self, place: int) -> tuple[str, ...]:
        try:
            example = self.data.read(place, 1)
        except BrokenPictureError:
            # Told when the run meets it.
            return ()
        asked = (text for one in example.questions for text in (one.question, one.answer))
        return (*example.captions, *asked)
