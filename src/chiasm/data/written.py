"""Captions, answers and questions that lie in files: what another tool said, and what people asked.

A file holds a JSON object per line (`.jsonl`) or a JSON list of them (`.json`):

    captions    {"key": "a.jpg", "text": "a dog on a beach"}
    answers     {"key": "a.jpg", "question": "What is it?", "text": "a dog"}
    questions   {"key": "a.jpg", "question": "What is it?", "answers": ["dog", "a dog"], "kind": "what"}

`key` is the picture's key in its source (the path below the folder, or as the table gives it). A question has `answer`
or, from several people, `answers`; its `kind` may be left out. Other keys are left alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chiasm.core.config import explain
from chiasm.core.errors import InputError
from chiasm.core.example import QuestionAnswer, Source
from chiasm.core.files import read_json, read_text
from chiasm.core.manner import OWN_WAY, Manner
from chiasm.core.predictors import Answers, Captions


class _Line(BaseModel):
    """One object of a file; people keep more in it than is read here."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    key: str


class _CaptionLine(_Line):
    text: str


class _AnswerLine(_Line):
    question: str
    text: str


class _QuestionLine(_Line):
    question: str
    answer: str | None = None
    answers: tuple[str, ...] = ()
    kind: str = ""


class WrittenCaptions:
    """Implements `core.predictors.Captioner` over a file.

    Args:
        path: of the file.

    Raises:
        InputError: it cannot be read, a line is no caption, or a picture has two.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.fingerprint = _digest(path)
        lines = list(_lines(path, _CaptionLine, "captions"))
        self._texts = {line.key: line.text for line in lines}
        _check_once([line.key for line in lines], path)

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        """The captions of the source's pictures.

        Raises:
            InputError: the file has none of them, or they were to be written in another way than they are.
        """
        _check_written(self.name, manner, beginning)
        keys = _keys(source)
        found = {key: text for key, text in self._texts.items() if key in keys}
        _check_some(found, self._texts, source, self.name)
        return Captions(found)


class WrittenAnswers:
    """Implements `core.predictors.Answerer` over a file.

    Args:
        path: of the file.

    Raises:
        InputError: it cannot be read, a line is no answer, or a question of a picture has two.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.fingerprint = _digest(path)
        lines = list(_lines(path, _AnswerLine, "answers"))
        self._texts = {(line.key, line.question): line.text for line in lines}
        _check_once([f"{line.key}: {line.question}" for line in lines], path)

    def answer(
        self,
        source: Source,
        questions: Mapping[str, Sequence[str]],
        choices: Sequence[str] = (),
        manner: Manner | None = None,
    ) -> Answers:
        """The answers to the questions that are asked.

        Raises:
            InputError: the file has none of them, there are choices, which it cannot make, or the answers were to be
                written in another way than they are.
        """
        _check_written(self.name, manner)
        if choices:
            raise InputError("answers without choices", f"{self.name} is written already", "leave the choices out")
        asked = {(key, question) for key, several in questions.items() for question in several}
        found = {pair: text for pair, text in self._texts.items() if pair in asked}
        _check_some(found, [key for key, _ in self._texts], source, self.name)
        return Answers(found)


def _check_written(name: str, manner: Manner | None, beginning: str = "") -> None:
    """Refuse to write anew.

    Raises:
        InputError: a way of writing, or a beginning, was asked for.
    """
    if beginning or (manner not in (None, OWN_WAY)):
        raise InputError("texts as they are", f"{name} is written already", "leave the way of writing out")


def read_questions(path: Path) -> dict[str, tuple[QuestionAnswer, ...]]:
    """Questions about pictures by their keys; a question with several answers comes once for each.

    Raises:
        InputError: the file cannot be read, or a line is no question with an answer.
    """
    found: dict[str, list[QuestionAnswer]] = defaultdict(list)
    for line in _lines(path, _QuestionLine, "questions"):
        answers = (*line.answers, *([] if line.answer is None else [line.answer]))
        if not answers:
            raise InputError(
                f"an answer to each question in {path}",
                f"{line.question!r} about {line.key} has none",
                "add answer or answers",
            )
        found[line.key] += [QuestionAnswer(line.kind, line.question, answer) for answer in answers]
    return {key: tuple(several) for key, several in found.items()}


def _lines(path: Path, kind: type[Any], what: str) -> Iterator[Any]:
    """The objects of a file, each checked.

    Raises:
        InputError: the file cannot be read or one of them is not of this kind.
    """
    for number, value in enumerate(_values(path, what), start=1):
        try:
            yield kind.model_validate(value)
        except ValidationError as error:
            raise explain(error, kind, f"object {number} of {path}") from None


def _values(path: Path, what: str) -> list[Any]:
    if path.suffix == ".json":
        values = read_json(path, what)
        if not isinstance(values, list):
            raise InputError(f"a list of {what} in {path}", "it holds something else", "write one object for each")
        return values
    found = []
    # Strings of JSON may hold other ends of lines, at which `splitlines` would cut them.
    for number, line in enumerate(read_text(path, what).removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(
                f"a JSON object in every line of {path}", f"line {number} is none ({error})", "correct the line"
            ) from None
    return found


def _digest(path: Path) -> str:
    """Tells the content of a file that can be read; one that cannot is told when it is read."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.is_file() else ""


def _keys(source: Source) -> frozenset[str]:
    return frozenset(source.key(index) for index in range(len(source)))


def _check_once(names: Sequence[str], path: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"one text each in {path}", f"{name!r} has two", "keep one")
        seen.add(name)


def _check_some(found: Mapping[Any, str], keys: Sequence[str] | Mapping[str, str], source: Source, name: str) -> None:
    """Refuse a file about other pictures or other questions: all would count as missing."""
    if not found:
        first = f"it speaks of {next(iter(keys))!r}" if keys else "it is empty"
        wanted = f", whose first picture is {source.key(0)!r}" if len(source) else ""
        raise InputError(
            f"texts in {name} about {source.name}{wanted}", first, "write keys and questions as the source does"
        )
