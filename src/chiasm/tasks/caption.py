"""Caption: say in a sentence what pictures, or a part of them, show."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.example import Source
from chiasm.core.manner import OWN_WAY, Manner
from chiasm.core.predictors import Captioner, Record
from chiasm.data.region import Box, Region
from chiasm.tasks._places import check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows


class Caption(Record):
    """What is said of one picture.

    Attributes:
        key: identity of the picture within the source.
        text: the caption.
        certainty: probability that the model gave a token of it, on average (geometrically); None where it tells none.
    """

    key: str
    text: str
    certainty: float | None


class Captioned(Record):
    """What `caption` answered.

    Attributes:
        model: name of the model.
        data: name of the source.
        box: the part of every picture that was described, `xyxy` in pixels; None for the whole.
        captions: one for each picture; none when they were written to `out`.
        num_captions: how many there are.
        out: the table that they were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    box: Box | None
    captions: tuple[Caption, ...]
    num_captions: int
    out: Path | None
    skipped: dict[str, str]


def caption(
    model: Captioner,
    data: Source,
    beginning: str = "",
    box: Box | None = None,
    manner: Manner = OWN_WAY,
    out: Path | None = None,
) -> Captioned:
    """Say in a sentence what each picture shows.

    Args:
        model: what writes captions.
        data: the pictures.
        beginning: words that every caption goes on from.
        box: describe only this part of every picture: left, top, right, bottom in pixels.
        manner: how to write; the model's own way unless told otherwise.
        out: write the captions to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: the model writes no captions, the box is empty or outside a picture, or `out` is of another kind.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    found = model.caption(data if box is None else Region(data, box), manner, beginning)
    captions = tuple(
        Caption(key=key, text=text, certainty=found.certainty.get(key)) for key, text in found.texts.items()
    )
    if out is not None:
        write_rows(out, {name: [getattr(one, name) for one in captions] for name in Caption.model_fields})
    return Captioned(
        model=model.name,
        data=data.name,
        box=box,
        captions=captions if out is None else (),
        num_captions=len(captions),
        out=out,
        skipped=dict(found.skipped),
    )
