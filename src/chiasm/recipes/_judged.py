"""What a finished model scores on pictures that it has not seen, by all that is known about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chiasm.core.errors import BrokenPictureError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Example, Source
from chiasm.core.predictors import Encoder
from chiasm.evaluate.captions import captions
from chiasm.evaluate.retrieval import retrieval
from chiasm.evaluate.vqa import vqa
from chiasm.evaluate.zeroshot import zeroshot
from chiasm.serve.encoder import open_encoder
from chiasm.serve.writer import PictureWriter

NUM_LOOKS = 25


def judged(model: str, sources: Sequence[Source]) -> dict[str, Estimate]:
    """Scores of a model that was tied to language and writes, by what was measured and the source.

    Classes are asked for by their names, pictures looked for by their captions, questions asked and captions written,
    as far as a source knows them.

    Args:
        model: its name.
        sources: what it is judged by.
    """
    encoder = open_encoder(model)
    writer = PictureWriter(encoder)
    return {f"{what}, {source.name}": score for source in sources for what, score in _figures(encoder, writer, source)}


def _figures(encoder: Encoder, writer: PictureWriter, source: Source) -> Iterator[tuple[str, Estimate]]:
    """What can be told of one source."""
    looks = list(_some(source))
    if source.classes:
        yield "zero-shot accuracy", zeroshot([encoder], data=[source]).results[0].scores.accuracy
    if any(example.captions for example in looks):
        ways = retrieval([encoder], data=[source]).results[0]
        yield "text to picture R@1", ways.text_to_picture.recall_at_1
        yield "picture to text R@1", ways.picture_to_text.recall_at_1
        written = captions([writer], data=[source]).results[0]
        yield "CIDEr-D of captions", written.scores.cider_d
        if written.named_right is not None:
            yield "named objects that are there", written.named_right
    if any(example.questions for example in looks):
        answers = vqa([writer], data=[source]).results[0]
        yield "answers right", answers.accuracy
        for kind in answers.kinds:
            yield f"answers right ({kind.kind})", kind.accuracy


def _some(source: Source) -> Iterator[Example]:
    """Readable examples spread over a source."""
    for index in range(0, len(source), max(1, len(source) // NUM_LOOKS)):
        try:
            yield source.read(index, 1)
        except BrokenPictureError:
            # Whoever judges by it writes it down.
            continue
