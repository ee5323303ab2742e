"""Describe: what pictures show, in a few sentences for people who do not see them, each with how sure the model is.

A model's captions of one picture differ in what they tell. The caption found by searching comes first; then captions
are drawn, and the surest that tell something new are added.

Paper: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, arXiv 1904.09751 (the draws).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from chiasm.core.errors import InputError, TooManyBrokenError
from chiasm.core.example import Source, Subset
from chiasm.core.manner import OWN_WAY, Manner
from chiasm.core.predictors import Captioner, Captions, Record
from chiasm.ops.words import caption_words
from chiasm.tasks._places import check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows

AT_ONCE = 64
"""Pictures that are described before the next ones are read, so that a model that remembers them sees each once."""
TOP_P = 0.9
SURE, PROBABLE = 0.8, 0.5
"""From which certainty on a sentence stands without a word of doubt, and from which on it is only probable."""
_ARTICLES_AND_ALIKE = "a an the of in on at to from by with and or is are was were be there this that it its one some"
_OF_PICTURES = "picture photo image drawing painting sketch view shows showing front"
_SAY_NOTHING = frozenset(f"{_ARTICLES_AND_ALIKE} {_OF_PICTURES}".split(" "))


class Sentence(Record):
    """One thing that is said about a picture.

    Attributes:
        text: the sentence.
        certainty: probability that the model gave a token of it, on average (geometrically); None where it tells none.
    """

    text: str
    certainty: float | None


class Description(Record):
    """What is said of one picture.

    Attributes:
        key: identity of the picture within the source.
        text: all sentences as one text, doubtful ones after "Probably:" or "Perhaps:".
        sentences: the same one by one, the caption first, then the surest that add something.
    """

    key: str
    text: str
    sentences: tuple[Sentence, ...]


class Described(Record):
    """What `describe` answered.

    Attributes:
        model: name of the model.
        data: name of the source.
        descriptions: one for each picture; none when they were written to `out`.
        num_descriptions: how many there are.
        out: the table that they were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    descriptions: tuple[Description, ...]
    num_descriptions: int
    out: Path | None
    skipped: dict[str, str]


def describe(
    model: Captioner,
    data: Source,
    sentences: int = 3,
    draws: int = 12,
    least: float = 0.3,
    manner: Manner = OWN_WAY,
    seed: int = 0,
    out: Path | None = None,
) -> Described:
    """Describe each picture in a few sentences, as a text that stands in for it (alt text).

    Args:
        model: what writes captions.
        data: the pictures.
        sentences: most sentences about a picture.
        draws: captions that are drawn, from which those after the first are chosen.
        least: certainty below which a sentence is not added.
        manner: how to write the first sentence; the model's own way unless told otherwise.
        seed: of the draws.
        out: write the descriptions to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: the model writes no captions, a number is out of range, or `out` is of another kind.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    if sentences < 1 or draws < 0 or not 0 <= least <= 1:
        came = f"{sentences}, {draws} and {least:g} came"
        do = "ask for example for 3, 12 and 0.3"
        raise InputError("at least 1 of sentences, 0 draws or more, and a least certainty from 0 to 1", came, do)
    found: list[Description] = []
    skipped: dict[str, str] = {}
    drawn = [Manner(top_p=TOP_P, seed=seed + number) for number in range(draws if sentences > 1 else 0)]
    for some, first in _captioned(model, data, manner):
        skipped |= dict(first.skipped)
        others = [model.caption(some, way) for way in drawn]
        for key in map(some.key, range(len(some))):
            text = first.texts[key]
            more = [Sentence(text=one.texts[key], certainty=one.certainty.get(key)) for one in others]
            chosen = _chosen(Sentence(text=text, certainty=first.certainty.get(key)), more, sentences, least)
            found.append(
                Description(key=key, text=" ".join(_said(one) for one in chosen if one.text.strip()), sentences=chosen)
            )
    if out is not None:
        write_rows(out, {"key": [one.key for one in found], "text": [one.text for one in found]})
    return Described(
        model=model.name,
        data=data.name,
        descriptions=tuple(found) if out is None else (),
        num_descriptions=len(found),
        out=out,
        skipped=skipped,
    )


def _captioned(model: Captioner, data: Source, manner: Manner) -> Iterator[tuple[Source, Captions]]:
    """The pictures that can be read, a few at a time, with the caption of each.

    Raises:
        TooManyBrokenError: more of all pictures are broken than is tolerated.
    """
    whole: Captions | None = None
    for start in range(0, len(data), AT_ONCE):
        places = range(start, min(start + AT_ONCE, len(data)))
        found = whole
        if found is None:
            try:
                found = model.caption(Subset(data, places, data.name), manner)
            except TooManyBrokenError:
                # Too many of these need not be too many of all.
                found = whole = model.caption(data, manner)
        readable = [place for place in places if data.key(place) in found.texts]
        yield Subset(data, readable, data.name), found


def _chosen(first: Sentence, others: Sequence[Sentence], most: int, least: float) -> tuple[Sentence, ...]:
    """The caption, and of the others the surest that say something that was not said before."""
    chosen, told = [first], _content(first.text)
    for one in sorted(others, key=lambda one: -(one.certainty or 0.0)):
        if len(chosen) == most or (one.certainty is not None and one.certainty < least):
            break
        if new := _content(one.text) - told:
            chosen.append(one)
            told |= new
    return tuple(chosen)


def _content(text: str) -> set[str]:
    """The words of a text that say something."""
    return set(caption_words(text)) - _SAY_NOTHING


def _said(one: Sentence) -> str:
    """A sentence as it is read out, with a word of doubt where the model has some."""
    text = one.text.strip().rstrip(".")
    doubt = ""
    if one.certainty is not None and one.certainty < SURE:
        doubt = "Probably: " if one.certainty >= PROBABLE else "Perhaps: "
    return f"{doubt}{text if doubt else text[:1].upper() + text[1:]}."
