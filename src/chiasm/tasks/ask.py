"""Ask: answers to a question about pictures, free or chosen from a list."""

from __future__ import annotations

import json
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.manner import OWN_WAY, Manner
from chiasm.core.predictors import Answerer, Promptable, Record
from chiasm.data.prompts import ClassNames
from chiasm.data.region import Box, Region
from chiasm.tasks._places import check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows

SHOTS = 4
"""Examples that a model is shown unless told otherwise."""


class Answer(Record):
    """The answer about one picture.

    Attributes:
        key: identity of the picture within the source.
        text: the answer.
        certainty: probability that the model gave a token of a free answer, on average (geometrically), or that of the
            choice; None where it tells none.
        ranking: the choices with their probabilities, the most probable first; empty without choices.
    """

    key: str
    text: str
    certainty: float | None
    ranking: dict[str, float] = {}


class Asked(Record):
    """What `ask` answered.

    Attributes:
        model: name of the model.
        data: name of the source.
        question: what was asked.
        box: the part of every picture that it was asked about, `xyxy` in pixels; None for the whole.
        answers: one for each picture; none when they were written to `out`.
        num_answers: how many there are.
        out: the table that they were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    question: str
    box: Box | None
    answers: tuple[Answer, ...]
    num_answers: int
    out: Path | None
    skipped: dict[str, str]


def ask(
    model: Answerer,
    data: Source,
    question: str,
    choices: ClassNames | None = None,
    examples: Source | None = None,
    shots: int | None = None,
    box: Box | None = None,
    manner: Manner = OWN_WAY,
    out: Path | None = None,
) -> Asked:
    """Ask a question about each picture.

    Args:
        model: what answers.
        data: the pictures.
        question: what to ask.
        choices: the answers to choose from: a text file with one per line, a .json list, or `yes,no`; any answer
            unless given.
        examples: pictures with questions and answers that the model is shown first, so that it answers alike; for a
            model that learns in this way (Flamingo).
        shots: how many of them; 4 unless given.
        box: ask only about this part of every picture: left, top, right, bottom in pixels.
        manner: how to write a free answer; the model's own way unless told otherwise.
        out: write the answers to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: the question is empty, the model answers none or learns nothing from examples, there is one choice
            only or too few examples, the box is empty or outside a picture, or `out` is of another kind.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    if not question.strip():
        raise InputError("a question", "an empty one came", "ask for example 'How many are there?'")
    if choices is not None and len(choices) < 2:
        raise InputError("two choices or more", f"{len(choices)} came", "add one, or leave choices out")
    if examples is None and shots is not None:
        raise InputError("examples to show shots of", "shots came alone", "give examples, or leave shots out")
    answerer = model if examples is None else _shown(model, examples, SHOTS if shots is None else shots)
    pictures = data if box is None else Region(data, box)
    questions = {pictures.key(index): (question,) for index in range(len(pictures))}
    found = answerer.answer(pictures, questions, choices or (), manner)
    answers = tuple(
        Answer(
            key=pair[0],
            text=text,
            certainty=found.certainty.get(pair),
            ranking=dict(sorted(found.ranked.get(pair, {}).items(), key=lambda one: -one[1])),
        )
        for pair, text in found.texts.items()
    )
    if out is not None:
        columns = {name: [getattr(one, name) for one in answers] for name in ("key", "text", "certainty")}
        if choices is not None:
            columns["ranking"] = [json.dumps(one.ranking, ensure_ascii=False) for one in answers]
        write_rows(out, columns)
    return Asked(
        model=model.name,
        data=data.name,
        question=question,
        box=box,
        answers=answers if out is None else (),
        num_answers=len(answers),
        out=out,
        skipped=dict(found.skipped),
    )


def _shown(model: Answerer, examples: Source, shots: int) -> Answerer:
    """The model after it was shown examples.

    Raises:
        InputError: it learns nothing from them, or there are too few.
    """
    if shots < 1:
        raise InputError("at least 1 of --shots", f"{shots} came", "give more, or leave examples out")
    if not isinstance(model, Promptable):
        do = "leave examples out, or take another model"
        raise InputError("a model that learns from examples that it is shown", f"{model.name} does not", do)
    return model.after(examples, shots)
