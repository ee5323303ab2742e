"""A model that writes, with weights, vocabulary and memory: captions and answers about the pictures of a source."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import QuestionAnswer, Source, Subset
from chiasm.core.manner import Manner
from chiasm.core.predictors import Answers, Captions
from chiasm.core.seeds import derive
from chiasm.data.pictures import PictureBatch
from chiasm.data.skipped import Skipped
from chiasm.data.tokenizer import Tokenizer
from chiasm.models._writing import Draft, Example, Writing
from chiasm.ops.writing import Stops, Written, beams, greedy, log_likelihoods, nucleus
from chiasm.serve.encoder import PictureEncoder, open_encoder

TEXTS_AT_ONCE = 256
"""Texts that are written, or whose likelihood is asked for, at a time."""


class PictureWriter:
    """Implements `core.predictors.Captioner` and `Answerer` over a model; it and its encoder see a picture once.

    Args:
        encoder: the model, ready to see pictures.
        writing: the side of it that writes; its own unless given.
        after: what tells what it was shown before; empty for nothing.

    Raises:
        InputError: the model does not write.
    """

    def __init__(self, encoder: PictureEncoder, writing: Writing[Any] | None = None, after: str = "") -> None:
        writing = writing or encoder.model.writing
        if writing is None:
            do = "train one with `chiasm train vision-language`, or name a public one that captions or answers"
            raise InputError("a model that writes about pictures", f"{encoder.name} does not", do)
        self.encoder = encoder
        self.name = encoder.name
        self._writing: Writing[Any] = writing
        self._after = after

    @property
    def fingerprint(self) -> str:
        """Changes whenever its texts could."""
        return f"{self.encoder.fingerprint}-{self._after}" if self._after else self.encoder.fingerprint

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        """A caption of each readable picture.

        Args:
            source: the pictures.
            manner: how to write; in the model's own way unless given.
            beginning: words that every caption goes on from.

        Raises:
            InputError: the model writes no captions, or its tokenizer cannot be used.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        if not self._writing.captions:
            raise InputError("a model that writes captions", f"{self.name} only answers questions", "take another")
        manner, skipped = manner or Manner(), Skipped()
        texts: dict[str, str] = {}
        certainty: dict[str, float] = {}
        for batch in self.encoder.batches(source, skipped):
            with self.encoder.computing():
                draft = self._writing.caption(self.encoder.seen(batch), self._tokenizer, beginning)
                written = _write(draft, manner, batch.keys)
            for key, text, sure in zip(batch.keys, self._words(written), _certainties(written), strict=True):
                texts[key], certainty[key] = f"{beginning} {text}".strip(), sure
        return Captions(texts, skipped.entries, certainty)

    def answer(
        self,
        source: Source,
        questions: Mapping[str, Sequence[str]],
        choices: Sequence[str] = (),
        manner: Manner | None = None,
    ) -> Answers:
        """Answers to questions about the readable pictures of a source.

        Args:
            source: the pictures.
            questions: what is asked about each picture, by its key; a picture without any is not read.
            choices: the answers to choose from; empty to answer freely.
            manner: how to write a free answer; in the model's own way unless given.

        Raises:
            InputError: the model answers no questions, or its tokenizer cannot be used.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        if not self._writing.answers:
            raise InputError("a model that answers questions", f"{self.name} writes captions only", "take another")
        asked = [index for index in range(len(source)) if questions.get(source.key(index))]
        skipped, parts = Skipped(), list[Answers]()
        for batch in self.encoder.batches(Subset(source, asked, source.name), skipped):
            with self.encoder.computing():
                for group in self._groups(batch, questions, max(1, TEXTS_AT_ONCE // max(1, len(choices)))):
                    parts.append(self._answered(batch, group, choices, manner or Manner()))
        return Answers(
            {pair: text for part in parts for pair, text in part.texts.items()},
            skipped.entries,
            {pair: sure for part in parts for pair, sure in part.certainty.items()},
            {pair: shares for part in parts for pair, shares in part.ranked.items()},
        )

    def after(self, examples: Source, shots: int) -> PictureWriter:
        """The same, after it was shown pictures with a question and its answer each.

        Args:
            examples: pictures with questions; the first readable ones are shown, each with its first question.
            shots: how many.

        Raises:
            InputError: the model does not learn from examples, or there are not so many.
            TooManyBrokenError: more of the examples are broken than is tolerated.
        """
        prompting = self.encoder.model.prompting
        if prompting is None:
            do = "leave examples out, or take a Flamingo"
            raise InputError("a model that learns from examples that it is shown", f"{self.name} does not", do)
        shown: list[Example[Any]] = []
        digests: list[str] = []
        questions = dict(self._first_questions(examples, shots))
        places = [place for place in range(len(examples)) if examples.key(place) in questions]
        for batch in self.encoder.batches(Subset(examples, places, examples.name), Skipped()):
            with self.encoder.computing():
                seen = self.encoder.seen(batch)
                for place, key in enumerate(batch.keys):
                    alone = self._writing.some(seen, torch.tensor([place], device=self.encoder.device))
                    digests.append(batch.digests[place].hex())
                    shown.append(Example(alone, questions[key].answer, questions[key].question))
        if len(shown) < shots:
            do = "give more, or ask for fewer shots"
            raise InputError(f"{shots} examples with questions", f"{examples.name} has {len(shown)}", do)
        told = hashlib.sha256("\n".join([*digests, *map(str, questions.values())]).encode()).hexdigest()[:16]
        return PictureWriter(self.encoder, prompting.after(shown), told)

    def _first_questions(self, examples: Source, shots: int) -> Iterator[tuple[str, QuestionAnswer]]:
        """The first question of each of the first readable pictures that have one."""
        found = 0
        for place in range(len(examples)):
            if found == shots:
                return
            try:
                example = examples.read(place, 1)
            except BrokenPictureError:
                # There are others.
                continue
            if example.questions:
                found += 1
                yield example.key, example.questions[0]

    def _answered(
        self, batch: PictureBatch, group: Sequence[_Asked], choices: Sequence[str], manner: Manner
    ) -> Answers:
        """Answers to questions of as many tokens about pictures of one batch."""
        seen = self.encoder.seen(batch)
        places = torch.tensor([one.place for one in group], device=self.encoder.device)
        draft = self._writing.answer(self._writing.some(seen, places), self._tokenizer, [one.question for one in group])
        pairs = [(batch.keys[one.place], one.question) for one in group]
        if not choices:
            written = _write(draft, manner, [f"{key}\n{question}" for key, question in pairs])
            texts, certain = self._words(written), _certainties(written)
            return Answers(dict(zip(pairs, texts, strict=True)), (), dict(zip(pairs, certain, strict=True)))
        shares = self._shares(draft, choices)
        best = [max(range(len(choices)), key=row.__getitem__) for row in shares]
        return Answers(
            {pair: choices[one] for pair, one in zip(pairs, best, strict=True)},
            (),
            {pair: row[one] for pair, one, row in zip(pairs, best, shares, strict=True)},
            {pair: dict(zip(choices, row, strict=True)) for pair, row in zip(pairs, shares, strict=True)},
        )

    def _shares(self, draft: Draft, choices: Sequence[str]) -> list[list[float]]:
        """Probability of each choice for each question, where one of them is right.

        Raises:
            InputError: one is longer than the question leaves room for.
        """
        end = draft.stops.end[:1]
        texts = [(*self._tokenizer.numbers(choice), *end) for choice in choices]
        longest = max(range(len(texts)), key=lambda place: len(texts[place]))
        if draft.room is not None and len(texts[longest]) > draft.room:
            came = f"{choices[longest]!r} has {len(texts[longest]) - len(end)}"
            raise InputError(
                f"choices of at most {draft.room - len(end)} tokens after this question", came, "shorten it"
            )
        count = len(draft.beginnings)
        rows = torch.arange(count, device=draft.beginnings.device).repeat_interleave(len(texts))
        sums = log_likelihoods(draft.step, draft.beginnings[rows], texts * count, rows)
        return sums.unflatten(0, (count, len(texts))).softmax(dim=1).tolist()

    def _groups(
        self, batch: PictureBatch, questions: Mapping[str, Sequence[str]], at_once: int
    ) -> Iterator[list[_Asked]]:
        """The questions about the pictures of a batch, those of as many tokens together, at most `at_once`."""
        asked = [
            _Asked(place, question, len(self._tokenizer.numbers(question)))
            for place, key in enumerate(batch.keys)
            for question in questions[key]
        ]
        asked.sort(key=lambda one: one.num_tokens)
        for _, same in groupby(asked, key=lambda one: one.num_tokens):
            group = list(same)
            yield from (group[first : first + at_once] for first in range(0, len(group), at_once))

    def _words(self, written: Written) -> list[str]:
        return [self._tokenizer.words(tokens) for tokens in written.tokens]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self._writing.tokenizer(self.encoder.vocabulary())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about a picture of a batch."""

    place: int
    question: str
    num_tokens: int


def _write(draft: Draft, manner: Manner, names: Sequence[str]) -> Written:
    """Write texts; `names` tell them apart, so that draws of one do not depend on where it stands."""
    stops = _stops(draft.stops, manner)
    if manner.top_p is not None:
        seeds = [derive(manner.seed, name) for name in names]
        return nucleus(draft.step, draft.beginnings, stops, seeds, manner.top_p, manner.temperature)
    num_beams = draft.num_beams if manner.num_beams is None else manner.num_beams
    if num_beams == 1:
        return greedy(draft.step, draft.beginnings, stops)
    return beams(draft.step, draft.beginnings, stops, num_beams)


def _stops(own: Stops, manner: Manner) -> Stops:
    """The model's own limits, but for those that were asked for."""
    most = own.max_tokens if manner.max_tokens is None else min(manner.max_tokens, own.max_tokens)
    least = own.min_tokens if manner.min_tokens is None else manner.min_tokens
    return Stops(own.end, most, min(least, most), own.banned)


def _certainties(written: Written) -> list[float]:
    """The probability of a token on average (geometrically), for each text."""
    counted = zip(written.tokens, written.ended, written.log_probs, strict=True)
    return [math.exp(total / max(len(tokens) + ended, 1)) for tokens, ended, total in counted]


def open_writer(name: str) -> PictureWriter:
    """Load what a text names (see `weights.find`) and make it ready to write about pictures.

    Raises:
        InputError: nothing usable is there, or the model does not write.
    """
    return PictureWriter(open_encoder(name))
