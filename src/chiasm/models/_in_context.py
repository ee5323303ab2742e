"""How a Flamingo is asked: examples, then a picture, each with its words and a mark where it ends.

Paper: Alayrac et al., 2022, arXiv 2204.14198, section 2.4 and appendix A.2 (examples in context); the wording, the
lengths and the number of beams are those of OpenFlamingo's evaluation (Awadalla et al., 2023, arXiv 2308.01390).
Differs: words that a person gives become tokens by themselves, not together with the wording around them, so that
questions of as many tokens stay so; for words that begin with a letter it is the same. A mark for a picture is never
written: there is none that it could stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.data.phrases import END_MARK, PICTURE_MARK, SPOKEN
from chiasm.data.tokenizer import Tokenizer
from chiasm.models._writing import Draft, Example, Prompting, Writing
from chiasm.ops.writing import Stops

if TYPE_CHECKING:
    from chiasm.models.flamingo import Flamingo

_CAPTION_TOKENS, _ANSWER_TOKENS, _NUM_BEAMS = 20, 5, 3


class InContext(Writing[Tensor], Prompting[Tensor]):
    """The side of a Flamingo that writes about pictures, after examples or without.

    What is seen of pictures are their latents, `[B Q D]`.

    Args:
        model: that is asked.
        examples: that come before each text.
    """

    answers = True
    picture_mark, end_mark = PICTURE_MARK, END_MARK

    def __init__(self, model: Flamingo, examples: Sequence[Example[Tensor]] = ()) -> None:
        self._model = model
        self._examples = tuple(examples)

    def tokenizer(self, vocabulary: str) -> Tokenizer:
        return self._model.tokenizer(vocabulary)

    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B Q D"]:
        return self._model.see(images)

    def some(self, seen: Float[Tensor, "B Q D"], rows: Int64[Tensor, " _"]) -> Float[Tensor, "_ Q D"]:
        return seen[rows]

    def after(self, examples: Sequence[Example[Tensor]]) -> InContext:
        return InContext(self._model, examples)

    def caption(self, seen: Float[Tensor, "B Q D"], tokenizer: Tokenizer, beginning: str = "") -> Draft:
        asked = self._begun(tokenizer) + self._asked(tokenizer, "", beginning, is_shown=True)
        return self._draft(seen, tokenizer, [asked] * len(seen), _CAPTION_TOKENS)

    def answer(self, seen: Float[Tensor, "B Q D"], tokenizer: Tokenizer, questions: Sequence[str]) -> Draft:
        begun = self._begun(tokenizer)
        asked = [begun + self._asked(tokenizer, question, "", is_shown=True) for question in questions]
        return self._draft(seen, tokenizer, asked, _ANSWER_TOKENS)

    def go_on(self, seen: Float[Tensor, "B Q D"], tokenizer: Tokenizer, text: str) -> Draft:
        tokens, mark = tokenizer.numbers(text), tokenizer.number(PICTURE_MARK)
        num_marks = tokens.count(mark)
        if not num_marks or num_marks != len(seen):
            came = f"there are {num_marks} for {len(seen)} pictures"
            raise InputError(f"a text with a {PICTURE_MARK} for each of its pictures", came, "give as many of both")
        return self._drafted(seen.unsqueeze(0), tokenizer, [tokens], _CAPTION_TOKENS)

    def _begun(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The examples, each with its end."""
        end = (tokenizer.number(END_MARK),)
        found: tuple[int, ...] = ()
        for one in self._examples:
            found += self._asked(tokenizer, one.question, one.text, is_shown=one.seen is not None) + end
        return found

    def _asked(self, tokenizer: Tokenizer, question: str, text: str, *, is_shown: bool) -> tuple[int, ...]:
        """A picture, where one is shown, and what is said of it so far: a caption where there is no question."""
        _check(tokenizer, question, text)
        asked = SPOKEN.answer(tokenizer, question) if question else SPOKEN.caption(tokenizer)
        # The first token is the mark of the picture.
        return (asked if is_shown else asked[1:]) + SPOKEN.words(tokenizer, text)

    def _draft(
        self, seen: Float[Tensor, "B Q D"], tokenizer: Tokenizer, texts: Sequence[Sequence[int]], max_tokens: int
    ) -> Draft:
        """Texts about a picture each, which comes after those of the examples."""
        before = [one.seen for one in self._examples if one.seen is not None]
        shared = [example.expand(len(seen), -1, -1) for example in before]
        return self._drafted(torch.stack([*shared, seen], dim=1), tokenizer, texts, max_tokens)

    def _drafted(
        self, latents: Float[Tensor, "B M Q D"], tokenizer: Tokenizer, texts: Sequence[Sequence[int]], max_tokens: int
    ) -> Draft:
        longest = max((len(text) for text in texts), default=0)
        if longest + max_tokens > self._model.context_length:
            raise InputError(
                f"a text of at most {self._model.context_length - max_tokens} tokens, its examples counted",
                f"one of {longest} came",
                "give fewer or shorter examples",
            )
        mark = tokenizer.number(PICTURE_MARK)
        step = self._model.begin(latents, mark)
        beginnings = torch.tensor(texts, dtype=torch.int64, device=latents.device)
        stops = Stops((tokenizer.number(END_MARK),), max_tokens, banned=(mark,))
        return Draft(step, beginnings, stops, _NUM_BEAMS)


def _check(tokenizer: Tokenizer, *texts: str) -> None:
    """Refuse what a person gave where it holds a mark, which would stand for a picture that is not there.

    Raises:
        InputError: it does.
    """
    for text in texts:
        tokens = tokenizer.numbers(text.strip())
        for mark in (PICTURE_MARK, END_MARK):
            if tokenizer.number(mark) in tokens:
                raise InputError("words for a caption, a question or an answer", f"they hold {mark}", "leave it out")
