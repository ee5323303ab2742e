"""Explain: where in a picture an answer comes from, painted over the picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from chiasm.core.errors import InputError, nearest
from chiasm.core.example import Source, Subset
from chiasm.core.explaining import Explainer, HeatMaps, HeatMethod, HeatPainter, PatchPainter, PatchView
from chiasm.core.predictors import Embeddings, Encoder, Learner, Record
from chiasm.data.prompts import PLAIN, ClassNames, Templates
from chiasm.ops.labels import match_names
from chiasm.tasks._classes import Known, Origin, from_examples, from_labels, from_model
from chiasm.tasks._drawings import Draw, check_place, write_drawings
from chiasm.tasks._patches import Order, show_patches

# Shorter side of the pictures that are painted on: as much as a screen shows of a photo.
_SHOWN_SIDE_PX = 720
_SHOWN_CLASSES = 5
_ANYTHING = "what the model looks at"


class Explanation(Record):
    """The answer for one picture.

    Attributes:
        key: identity of the picture within the source.
        label: the class that the map speaks of; None for what the model looks at, whatever the class.
        probability: of that class among all, 0 to 1; None where there is no choice.
        cosine: of the picture with the name of the class; None where the class is not known by a name.
        out: the picture that was written.
    """

    key: str
    label: str | None
    probability: float | None
    cosine: float | None
    out: Path


class Explained(Record):
    """What `explain` did.

    Attributes:
        model: name of the model.
        data: name of the source.
        method: how the heat maps were made, or what was shown of the patches.
        classes_from: what the classes are known from: labels, examples, or the model itself; None without any.
        num_classes: how many there are.
        out: the picture, folder or page that was written.
        explanations: one for each picture.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    method: HeatMethod | PatchView
    classes_from: Origin | None
    num_classes: int
    out: Path
    explanations: tuple[Explanation, ...]
    skipped: dict[str, str]


def explain(
    model: Explainer,
    data: Source,
    out: Path,
    painter: HeatPainter,
    label: str | None = None,
    labels: ClassNames | None = None,
    examples: Source | None = None,
    templates: Templates | None = None,
    learner: Learner | None = None,
    shots: int | None = None,
    seed: int = 0,
    method: HeatMethod | None = None,
    by: PatchView | None = None,
    size: int | None = None,
    foreground: bool = False,
    sheets: PatchPainter | None = None,
) -> Explained:
    """Paint over each picture what made the model say so, or show what its patches are to the model.

    The classes are known as to `classify`: by their names (`labels`), by examples of each (`examples`), or they are
    those that the model was trained to tell apart. With several classes a map shows what speaks for one and against
    the others. Without any it shows what the model looks at, whatever the answer.

    `by` leaves the answer aside and shows the patches: what is alike among them, and where each head looks.

    Args:
        model: the model.
        data: pictures to explain; one photo or many.
        out: a .png file for one picture, or a new folder that gets one for each; an .html file for a similarity page.
        painter: draws the heat maps.
        label: the class to explain; by default the most probable one of each picture. A name alone, without labels or
            examples, is read by the model as text where it is none of the model's own classes.
        labels: names of the classes: a text file with one per line, a .json list, or `cat,dog,horse`.
        examples: pictures with classes (a folder with one folder per class).
        templates: sentences around each name: `plain` ("a photo of a {}.", meant when none are given), `simple` (7),
            `imagenet` (80), a file with one per line, or one sentence with {} where the name goes.
        learner: how to learn from the examples: `logistic` (in a shell meant when none is given), `centroid`.
        shots: how many examples of each class to use, drawn by `seed`; all when not given.
        seed: draws the shots.
        method: `relevance` (attention that raised the score), `rollout` (attention alone, whatever the class) or
            `grad-cam` (patch tokens along the gradient); by default the first that the model's parts allow.
        by: `pca` (the first three principal components of all pictures' patches as colours), `heads` (attention of the
            class token in the last block, head by head) or `similarity` (a page on which a patch is chosen to see how
            alike all others are to it).
        size: side in pixels of the squares whose patches are shown, for more of them than the model was made for.
        foreground: leave the background out of the components: patches on one side of the first one.
        sheets: draws the patches.

    Raises:
        InputError: labels and examples both came; a label is none of the classes; labels came for a model that reads
            no text; the model's parts do not allow the method; rollout or `by` came with a class, which they do not
            know; size or foreground came without `by`; or `out` is no place for what would be written.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if by is not None:
        _check_alone(label, labels, examples, templates, learner, shots, method)
        if sheets is None:
            raise InputError("sheets to draw patches on", "none came", "give a PatchPainter")
        return _explained_by(by, Order(model, data, out, sheets, size, foreground))
    if size is not None or foreground:
        raise InputError("a way to show patches for size and foreground", "none came", "add by, or leave them out")
    check_place(out, data)
    _check_options(label, labels, examples, templates, learner, shots, method)
    encoder = model.encoder
    if labels is not None:
        known = from_labels(encoder, labels, templates or PLAIN, least=1)
    elif examples is not None:
        known = from_examples(encoder, examples, learner, shots, seed)
    elif label is not None:
        known = _from_name(encoder, data, label, templates or PLAIN)
    elif encoder.own_classes is not None and method != "rollout":
        known = from_model(encoder, data)
    else:
        known = None
    asked = encoder.embed(data)
    answers, directions = dict.fromkeys(asked.keys, _Answer()), None
    if known is not None:
        probabilities = known.probabilities(asked)
        chosen = _chosen(known, probabilities, label)
        answers, directions = _answers(known, asked, probabilities, chosen), known.gradients(asked, chosen)
    maps = model.heat(_without(data, {key for key, _ in asked.skipped}), directions, method)
    places = write_drawings(out, maps.keys, _drawer(model, data, maps, answers, painter))
    return Explained(
        model=encoder.name,
        data=data.name,
        method=maps.method,
        classes_from=None if known is None else known.origin,
        num_classes=0 if known is None else len(known.classes),
        out=out,
        explanations=tuple(
            Explanation(key=key, out=places[key], **dataclasses.asdict(answers[key])) for key in maps.keys
        ),
        skipped=dict((() if known is None else known.skipped) + asked.skipped + maps.skipped),
    )


def _explained_by(by: PatchView, order: Order) -> Explained:
    """What was shown of the patches, as a record."""
    written = show_patches(by, order)
    return Explained(
        model=order.model.encoder.name,
        data=order.data.name,
        method=by,
        classes_from=None,
        num_classes=0,
        out=order.out,
        explanations=tuple(
            Explanation(key=key, out=place, **dataclasses.asdict(_Answer())) for key, place in written.places.items()
        ),
        skipped=written.skipped,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """What is explained of one picture; as in `Explanation`."""

    label: str | None = None
    probability: float | None = None
    cosine: float | None = None


def _from_name(model: Encoder, data: Source, label: str, templates: Templates) -> Known:
    """One class, known by its name alone: the model's own where it has such a one, else as text.

    Raises:
        InputError: the model neither has the class nor reads text.
    """
    own = model.own_classes
    if own is not None and (model.text is None or match_names([label], own.classes)[0] in own.classes):
        return from_model(model, data)
    return from_labels(model, (label,), templates, least=1)


def _chosen(known: Known, probabilities: Float[np.ndarray, "B K"], label: str | None) -> Int[np.ndarray, " B"]:
    """The class that is explained, of each picture.

    Raises:
        InputError: `label` is none of the classes.
    """
    if label is None:
        return probabilities.argmax(axis=1)
    (name,) = match_names([label], known.classes)
    if name in known.classes:
        return np.full(len(probabilities), known.classes.index(name))
    near = nearest(label, known.classes)
    some = ", ".join(known.classes[:_SHOWN_CLASSES]) + (" ..." if len(known.classes) > _SHOWN_CLASSES else "")
    raise InputError(
        f"one of the {len(known.classes)} classes ({some})",
        f"{label!r} came",
        f"did you mean {near!r}" if near else "name one of them",
    )


def _answers(
    known: Known, asked: Embeddings, probabilities: Float[np.ndarray, "B K"], chosen: Int[np.ndarray, " B"]
) -> dict[str, _Answer]:
    """What is explained of each picture, and how sure the model is of it."""
    sure: list[float | None] = [None] * len(chosen)
    cosines = sure
    if known.independent or len(known.classes) > 1:
        sure = probabilities[np.arange(len(chosen)), chosen].tolist()
    if known.vectors is not None:
        cosines = (asked.vectors * known.vectors[chosen]).sum(axis=1).tolist()
    return {
        key: _Answer(known.classes[place], probability, cosine)
        for key, place, probability, cosine in zip(asked.keys, map(int, chosen), sure, cosines, strict=True)
    }


def _without(data: Source, broken: set[str]) -> Source:
    """The pictures of a source that can be read, in its order."""
    return Subset(data, [index for index in range(len(data)) if data.key(index) not in broken], data.name)


def _drawer(
    model: Explainer, data: Source, maps: HeatMaps, answers: Mapping[str, _Answer], painter: HeatPainter
) -> Draw:
    """How the picture of a key is read and painted over."""
    indices = {data.key(index): index for index in range(len(data))}
    heats = dict(zip(maps.keys, maps.heat, strict=True))

    def draw(key: str) -> UInt8[np.ndarray, "H W 3"]:
        picture = data.read(indices[key], _SHOWN_SIDE_PX).picture
        box = model.seen(*picture.shape[:2])
        facts = (_told(answers[key]), maps.method, None if heats[key].any() else "nothing speaks for it", key)
        return painter(picture, heats[key], box, answers[key].label or _ANYTHING, " · ".join(filter(None, facts)))

    return draw


def _told(answer: _Answer) -> str | None:
    """How sure the model is, in words."""
    if answer.probability is not None:
        return f"probability {answer.probability:.2f}"
    return None if answer.cosine is None else f"cosine {answer.cosine:.2f}"


def _check_options(
    label: str | None,
    labels: ClassNames | None,
    examples: Source | None,
    templates: Templates | None,
    learner: Learner | None,
    shots: int | None,
    method: HeatMethod | None,
) -> None:
    """Refuse two ways of knowing the classes at once, and options of a way that is not taken.

    Raises:
        InputError: they do not go together.
    """
    if labels is not None and examples is not None:
        raise InputError("labels or examples", "both came", "leave one out: each of them says what the classes are")
    if templates is not None and (examples is not None or (labels is None and label is None)):
        raise InputError("labels for the templates", "none came", "give labels, or leave templates out")
    if examples is None and shots is not None:
        raise InputError("examples to draw shots from", "shots came alone", "give examples, or leave shots out")
    if examples is None and learner is not None:
        raise InputError("examples to learn from", "a learner came alone", "give examples, or leave the learner out")
    if method == "rollout" and not (label is None and labels is None and examples is None):
        raise InputError(
            "a method that tells classes apart", "rollout came, which does not", "leave the method or the class out"
        )


def _check_alone(*options: object) -> None:
    """Refuse a class or a method where the patches are shown.

    Raises:
        InputError: one came.
    """
    if any(option is not None for option in options):
        raise InputError("a way to show patches alone", "a class or a method came with it", "leave one of them out")
