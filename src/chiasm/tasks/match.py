"""Match: how well texts go with pictures; with a picture's own captions, the doubtful ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Matcher, Record
from chiasm.data.skipped import Skipped
from chiasm.tasks._places import check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows


class Match(Record):
    """How well a text goes with a picture.

    Attributes:
        key: identity of the picture within the source.
        text: the text.
        probability: that they belong together; None where the model can only compare texts or pictures with each other.
        cosine: of their vectors; None where the model has no space for both.
    """

    key: str
    text: str
    probability: float | None
    cosine: float | None


class Matched(Record):
    """What `match` answered.

    Attributes:
        model: name of the model.
        data: name of the source.
        matches: a picture and a text each; of given texts picture by picture, of own captions the worst first; none
            when they were written to `out`.
        num_matches: how many there are.
        out: the table that they were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    matches: tuple[Match, ...]
    num_matches: int
    out: Path | None
    skipped: dict[str, str]


def match(model: Matcher, data: Source, text: Sequence[str] | None = None, out: Path | None = None) -> Matched:
    """Tell how well texts go with pictures.

    Args:
        model: what reads texts and sees pictures.
        data: the pictures.
        text: the texts, each held against every picture; without any, the captions of `data` are held against their own
            pictures, and those that fit worst come first.
        out: write the matches to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: a text is empty, there are neither texts nor captions, or `out` is of another kind.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    broken = Skipped()
    texts = _captions(data, broken) if text is None else _for_all(data, text)
    found = model.match(data, texts)
    pairs = {**found.cosines, **found.probabilities}
    matches = [
        Match(key=key, text=one, probability=found.probabilities.get((key, one)), cosine=found.cosines.get((key, one)))
        for key, one in pairs
    ]
    if text is None:
        matches.sort(key=_fit)
    if out is not None:
        write_rows(out, {name: [getattr(one, name) for one in matches] for name in Match.model_fields})
    return Matched(
        model=model.name,
        data=data.name,
        matches=tuple(matches) if out is None else (),
        num_matches=len(matches),
        out=out,
        skipped=dict(broken.entries + found.skipped),
    )


def _fit(one: Match) -> tuple[float, float]:
    """How well, for sorting: by probability where there is one, then by cosine."""
    return one.probability or 0.0, one.cosine or 0.0


def _for_all(data: Source, texts: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The same texts for every picture.

    Raises:
        InputError: there is none, or one is empty.
    """
    if not texts or not all(one.strip() for one in texts):
        raise InputError("texts to hold against pictures", "an empty one came", "say for example 'a dog on a beach'")
    once = tuple(dict.fromkeys(texts))
    return {data.key(place): once for place in range(len(data))}


def _captions(data: Source, broken: Skipped) -> Mapping[str, Sequence[str]]:
    """The captions of each picture that has any.

    Args:
        data: the pictures.
        broken: the ledger of those that cannot be read; without words they are not encoded, which would tell it too.

    Raises:
        InputError: no picture has captions.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    found: dict[str, Sequence[str]] = {}
    for place in range(len(data)):
        broken.seen(data.key(place))
        try:
            example = data.read(place, 1)
        except BrokenPictureError as error:
            broken.broken(error)
            broken.check()
        else:
            found[example.key] = tuple(dict.fromkeys(example.captions))
    broken.finish()
    if not any(found.values()):
        raise InputError("texts, or pictures with captions", f"{data.name} has none", "give some by --text")
    return found
