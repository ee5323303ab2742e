"""What people said about the pictures of a source: captions and answers, read without a close look at the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Example, QuestionAnswer, Source
from chiasm.core.progress import tell
from chiasm.data.skipped import Skipped
from chiasm.data.written import read_questions

# The side that suffices, since only words are asked for: a JPEG is then decoded at an eighth of its size.
_NO_PICTURE_PX = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What was said.

    Attributes:
        captions: of each picture that has any, by its key.
        questions: the same, with one entry for each person who answered.
        skipped: pictures that could not be read, and why.
    """

    captions: Mapping[str, tuple[str, ...]]
    questions: Mapping[str, tuple[QuestionAnswer, ...]]
    skipped: dict[str, str]


def told_captions(source: Source) -> Told:
    """Captions of the readable pictures of a source.

    Raises:
        InputError: there are none.
        TooManyBrokenError: more of the source is broken than is tolerated.
    """
    return _checked(_read(source), lambda told: told.captions, "captions", source)


def told_questions(source: Source, file: Path | None) -> Told:
    """Questions about the readable pictures of a source, from the source or from a file.

    Raises:
        InputError: there are none, or the file cannot be read.
        TooManyBrokenError: more of the source is broken than is tolerated.
    """
    if file is None:
        return _checked(_read(source), lambda told: told.questions, "questions", source)
    asked = read_questions(file)
    keys = [source.key(index) for index in range(len(source))]
    questions = {key: asked[key] for key in keys if key in asked}
    if not questions:
        raise InputError(
            f"questions in {file} about pictures of {source.name}",
            "there are none",
            "write the keys of pictures as the source does",
        )
    return Told({}, questions, {})


def _read(source: Source) -> Told:
    ledger = Skipped()
    examples: list[Example] = []
    for index in range(len(source)):
        ledger.seen(source.key(index))
        try:
            example = source.read(index, _NO_PICTURE_PX)
        except BrokenPictureError as error:
            ledger.broken(error)
            ledger.check()
        else:
            examples.append(example)
        tell(index + 1, len(source))
    ledger.finish()
    return Told(
        captions={one.key: one.captions for one in examples if one.captions},
        questions={one.key: one.questions for one in examples if one.questions},
        skipped=dict(ledger.entries),
    )


def _checked(told: Told, part: Callable[[Told], Mapping[str, Sequence[object]]], what: str, source: Source) -> Told:
    if not part(told):
        raise InputError(f"pictures with {what}", f"{source.name} has none", f"give a source that holds {what}")
    return told
