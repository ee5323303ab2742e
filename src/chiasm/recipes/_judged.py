"""What a finished model scores on pictures that it has not seen, by all that is known about them.

What a source can tell is looked up before the training, which takes hours. Whatever fails all the same is noted, since
the model is finished by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chiasm.core.errors import BrokenPictureError, ChiasmError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Example, Source
from chiasm.evaluate.captions import captions
from chiasm.evaluate.retrieval import retrieval
from chiasm.evaluate.vqa import vqa
from chiasm.evaluate.zeroshot import zeroshot
from chiasm.serve.encoder import open_encoder
from chiasm.serve.writer import PictureWriter

NUM_LOOKS = 25
Figures = Iterator[tuple[str, Estimate]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to find out about a model.

    Attributes:
        what: in words.
        source: the pictures that tell it.
        figures: scores of a model that was tied to language and writes, by what was measured.
    """

    what: str
    source: Source
    figures: Callable[[PictureWriter, Source], Figures]


@dataclass(frozen=True, slots=True)
class Trials:
    """What can be found out about a model.

    Attributes:
        trials: one by one.
        notes: what a source does not tell although it seems to, and why.
    """

    trials: tuple[Trial, ...]
    notes: tuple[str, ...]


def looked_up(sources: Sequence[Source]) -> Trials:
    """What sources can tell of a model: a short look at each, of which no picture need be large.

    Classes are asked for by their names, pictures looked for by their captions, questions asked and captions written,
    as far as a source knows them.
    """
    trials: list[Trial] = []
    notes: list[str] = []
    for source in sources:
        own, why_not = _of_one(source)
        trials += own
        notes += [f"{source.name} tells {why}" for why in why_not]
    return Trials(tuple(trials), tuple(notes))


def judged(model: str, trials: Trials) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """Scores of a model, by what was measured and the source; and what could not be measured, and why.

    Args:
        model: its name.
        trials: what is to be found out.
    """
    writer = PictureWriter(open_encoder(model))
    scores: dict[str, Estimate] = {}
    notes = list(trials.notes)
    for trial in trials.trials:
        try:
            scores |= {f"{what}, {trial.source.name}": score for what, score in trial.figures(writer, trial.source)}
        except ChiasmError as error:
            notes.append(f"{trial.source.name} tells nothing of {trial.what}: {error}")
    return scores, tuple(notes)


def _of_one(source: Source) -> tuple[list[Trial], list[str]]:
    """What one source can tell, and what it cannot although it seems to."""
    looks = list(_some(source))
    trials: list[Trial] = []
    why_not: list[str] = []
    if len(source.classes) == 1:
        why_not.append("nothing of classes by their names: it has one only")
    elif source.classes and all(source.label(place) is None for place in range(len(source))):
        why_not.append("nothing of classes by their names: no picture has one")
    elif source.classes:
        trials.append(Trial("classes by their names", source, _by_names))
    if any(example.captions for example in looks):
        if _has_two_captioned(source):
            trials.append(Trial("finding by captions", source, _found))
            trials.append(Trial("captions", source, _captioned))
        else:
            why_not.append("nothing of captions: one picture only has any")
    if any(example.questions for example in looks):
        trials.append(Trial("answers", source, _answered))
    if not trials and not why_not:
        why_not.append("nothing: pictures looked at have no classes, captions or questions")
    return trials, why_not


def _by_names(writer: PictureWriter, source: Source) -> Figures:
    yield "zero-shot accuracy", zeroshot([writer.encoder], data=[source]).results[0].scores.accuracy


def _found(writer: PictureWriter, source: Source) -> Figures:
    ways = retrieval([writer.encoder], data=[source]).results[0]
    yield "text to picture R@1", ways.text_to_picture.recall_at_1
    yield "picture to text R@1", ways.picture_to_text.recall_at_1


def _captioned(writer: PictureWriter, source: Source) -> Figures:
    written = captions([writer], data=[source]).results[0]
    yield "CIDEr-D of captions", written.scores.cider_d
    if written.named_right is not None:
        yield "named objects that are there", written.named_right


def _answered(writer: PictureWriter, source: Source) -> Figures:
    answers = vqa([writer], data=[source]).results[0]
    yield "answers right", answers.accuracy
    for kind in answers.kinds:
        yield f"answers right ({kind.kind})", kind.accuracy


def _has_two_captioned(source: Source) -> bool:
    """Whether two readable pictures have captions; reads no further than to the second."""
    captioned = (example for example in _readable(source, range(len(source))) if example.captions)
    return next(captioned, None) is not None and next(captioned, None) is not None


def _some(source: Source) -> Iterator[Example]:
    """Readable examples spread over a source."""
    return _readable(source, range(0, len(source), max(1, len(source) // NUM_LOOKS)))


def _readable(source: Source, places: Sequence[int]) -> Iterator[Example]:
    """The examples at some places, but for broken ones."""
    for place in places:
        try:
            yield source.read(place, 1)
        except BrokenPictureError:
            # Whoever judges by it writes it down.
            continue
