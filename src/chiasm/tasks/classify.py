"""Classify: name the class of pictures by names in words, after a few examples, or as the model was trained to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Source
from chiasm.core.predictors import AnyLearner, Embeddings, Encoder, NamedLearner, Record
from chiasm.data.among import is_among
from chiasm.data.prompts import PLAIN, ClassNames, Templates
from chiasm.ops.bootstrap import bootstrap_mean
from chiasm.ops.labels import match_names, relabel
from chiasm.tasks._classes import Known, Origin, from_both, from_examples, from_labels, from_model
from chiasm.tasks._places import check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows


class Prediction(Record):
    """The answer for one picture.

    Attributes:
        key: identity of the picture within the source.
        label: name of the most probable class.
        probability: of that class, 0 to 1.
        runner_up: name of the next class; None when there is only one.
        runner_up_probability: of that class; None when there is only one.
        truth: name of the right class, where the source knows it.
        ranking: the `top` most probable classes with their probabilities, the most probable first; empty when `top`
            was not asked for.
    """

    key: str
    label: str
    probability: float
    runner_up: str | None
    runner_up_probability: float | None
    truth: str | None
    ranking: dict[str, float] = {}


class Classified(Record):
    """What `classify` answered.

    Attributes:
        model: name of the model.
        data: name of the source that was classified.
        classes_from: what the classes are known from: "labels" (names in words), "examples", "labels and examples" or
            the "model" itself.
        independent: True where each class was judged on its own (a model trained with a sigmoid, as SigLIP is): the
            probabilities of a picture need not sum to 1, and all of them may be small. False where one of the classes
            was taken to be right.
        examples: name of the source of examples, where there was one.
        num_templates: sentences about each class that were averaged; 0 when classes were not known by their names.
        num_examples: examples learnt from, by class; empty without examples.
        num_predicted: how many pictures got each class, the most frequent first.
        accuracy: share of right answers with its interval, where `data` has no other classes than were asked about
            (case, blanks and underscores in names do not count); pictures that were examples themselves, wherever they
            lie, do not count. None where nothing is known or left to count.
        top_accuracy: share of pictures whose class is among the `top` most probable ones; None when not asked for.
        num_scored: pictures that the accuracy is over.
        predictions: one for each picture; none when they were written to `out`.
        out: the table that the predictions were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    classes_from: Origin
    independent: bool
    examples: str | None
    num_templates: int
    num_examples: dict[str, int]
    num_predicted: dict[str, int]
    accuracy: Estimate | None
    top_accuracy: Estimate | None
    num_scored: int
    predictions: tuple[Prediction, ...]
    out: Path | None
    skipped: dict[str, str]


def classify(
    model: Encoder,
    data: Source,
    labels: ClassNames | None = None,
    examples: Source | None = None,
    templates: Templates | None = None,
    learner: AnyLearner | None = None,
    shots: int | None = None,
    top: int | None = None,
    seed: int = 0,
    bootstrap: int = 1000,
    out: Path | None = None,
) -> Classified:
    """Name the class of each picture: by names in words, after a few examples of each, or as the model was trained to.

    The classes are known by their names (`labels`, to a model that reads text), by examples of each (`examples`, to any
    model), or they are those that the model was trained to tell apart (neither). Some learners (`tip-adapter`,
    `tip-adapter-f`, `coop`) take names and examples together.

    Args:
        model: the encoder.
        data: pictures to classify; when they have classes too, the accuracy is reported.
        labels: names of the classes: a text file with one per line, a .json list, or `cat,dog,horse`.
        examples: pictures with classes (a folder with one folder per class).
        templates: sentences around each name, over which the model's answer is averaged: `plain` ("a photo of a {}.",
            meant when none are given), `simple` (7), `imagenet` (80), a file with one per line, or one sentence with {}
            where the name goes.
        learner: how to learn from the examples: `logistic` (in a shell meant when none is given), `centroid`; with
            names of the classes, which are those of the examples unless labels came, `tip-adapter`, `tip-adapter-f`,
            `coop`. Settings stand behind a question mark (`coop?epochs=20&words=a photo of a`), a list between commas
            (`logistic?inverse_penalties=1,10`).
        shots: how many examples of each class to use, drawn by `seed`; all when not given.
        top: tell so many of the most probable classes of each picture, and how often the right one is among them.
        seed: draws the shots and the resampled pictures of the interval.
        bootstrap: resampled sets of pictures behind the interval of the accuracy.
        out: write the predictions to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: labels and examples both came, and the learner does not take both; neither did and the model has no
            classes of its own; labels came for a model that reads no text; the examples have no classes or a class
            without a readable picture; or an option is out of range or belongs to another of the ways.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    _check_at_least_one(bootstrap, "bootstrap draw", "1000 is usual")
    _check_at_least_one(top, "class to tell", "5 is usual")
    known = _known(model, data, labels, examples, templates, learner, shots, seed)
    asked = model.embed(data)
    answers = _answers(asked, known)
    is_scored = answers.is_known
    if known.learnt is not None:
        is_scored = is_scored & ~is_among(known.learnt, data, asked.keys, answers.is_known)
    predictions = _predictions(asked.keys, answers, known.classes, top or 0)
    if out is not None:
        _write(out, predictions)
    return Classified(
        model=model.name,
        data=data.name,
        classes_from=known.origin,
        independent=known.independent,
        examples=None if examples is None else examples.name,
        num_templates=0 if known.vectors is None else len(PLAIN if templates is None else templates),
        num_examples=known.num_examples,
        num_predicted=_tally(predictions, known.classes),
        accuracy=_share(answers.is_right[is_scored, :1], bootstrap, seed),
        top_accuracy=None if top is None else _share(answers.is_right[is_scored, :top], bootstrap, seed),
        num_scored=int(is_scored.sum()),
        predictions=() if out else predictions,
        out=out,
        skipped=dict(known.skipped + asked.skipped),
    )


def _check_at_least_one(number: int | None, what: str, do: str) -> None:
    if number is not None and number < 1:
        raise InputError(f"at least one {what}", f"{number} came", do)


def _known(
    model: Encoder,
    data: Source,
    labels: ClassNames | None,
    examples: Source | None,
    templates: Templates | None,
    learner: AnyLearner | None,
    shots: int | None,
    seed: int,
) -> Known:
    """The classes, by whichever way they are known.

    Raises:
        InputError: two ways came that do not go together, or options of a way that is not taken.
    """
    if examples is None and shots is not None:
        raise InputError("examples to draw shots from", "shots came alone", "give examples, or leave shots out")
    if examples is None and learner is not None:
        raise InputError("examples to learn from", "a learner came alone", "give examples, or leave the learner out")
    sentences = PLAIN if templates is None else templates
    if examples is not None and isinstance(learner, NamedLearner):
        return from_both(model, labels, sentences, examples, learner, shots, seed)
    if labels is not None and examples is not None:
        do = "leave one out: each of them says what the classes are; or take a learner of both, such as tip-adapter"
        raise InputError("labels or examples", "both came", do)
    if labels is None and templates is not None:
        raise InputError("labels for the templates", "templates came alone", "give labels, or leave templates out")
    if labels is not None:
        return from_labels(model, labels, sentences)
    return from_model(model, data) if examples is None else from_examples(model, examples, learner, shots, seed)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What was answered for each picture.

    Attributes:
        probabilities: of each class.
        order: classes, the most probable first.
        truth: the right class, -1 where it is not known.
        is_right: whether the class at each place of `order` is the right one.
        is_known: whether the right class is known and no picture has a class that was not asked about.
    """

    probabilities: Float[np.ndarray, "B K"]
    order: Int[np.ndarray, "B K"]
    truth: Int[np.ndarray, " B"]
    is_right: Bool[np.ndarray, "B K"]
    is_known: Bool[np.ndarray, " B"]


def _answers(asked: Embeddings, known: Known) -> _Answers:
    """Judge all pictures."""
    probabilities = known.probabilities(asked)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    names = match_names(asked.classes, known.classes)
    truth = relabel(asked.labels, names, known.classes)
    # A name that comes twice (ImageNet has two cranes) is right at either place.
    number = relabel(np.arange(len(known.classes)), known.classes, known.classes)
    return _Answers(
        probabilities=probabilities,
        order=order,
        truth=truth,
        is_right=number[order] == truth[:, None],
        is_known=(truth >= 0) & (set(names) <= set(known.classes)),
    )


def _predictions(
    keys: tuple[str, ...], answers: _Answers, classes: tuple[str, ...], num_ranked: int
) -> tuple[Prediction, ...]:
    """The most probable classes of each picture, in words."""
    order = answers.order[:, : max(num_ranked, 2)]
    probabilities = np.take_along_axis(answers.probabilities, order, axis=1)
    rows = zip(keys, order.tolist(), probabilities.tolist(), answers.truth.tolist(), strict=True)
    return tuple(
        Prediction(
            key=key,
            label=classes[best[0]],
            probability=shares[0],
            runner_up=classes[best[1]] if len(best) > 1 else None,
            runner_up_probability=shares[1] if len(best) > 1 else None,
            truth=classes[right] if right >= 0 else None,
            ranking=_ranking([classes[place] for place in best[:num_ranked]], shares),
        )
        for key, best, shares, right in rows
    )


def _ranking(names: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    """Probability by name; of a name that comes twice the more probable one."""
    ranking: dict[str, float] = {}
    for name, share in zip(names, shares, strict=False):
        ranking.setdefault(name, share)
    return ranking


def _tally(predictions: Sequence[Prediction], classes: Sequence[str]) -> dict[str, int]:
    """How many pictures got each class, the most frequent first."""
    counts = Counter(prediction.label for prediction in predictions)
    return dict(sorted(((name, counts[name]) for name in classes), key=lambda one: -one[1]))


def _share(is_right: Bool[np.ndarray, "B K"], bootstrap: int, seed: int) -> Estimate | None:
    """Share of pictures for which one of some classes is right; None when there is no picture."""
    return bootstrap_mean(np.any(is_right, axis=1), bootstrap, seed) if len(is_right) else None


def _write(out: Path, predictions: Sequence[Prediction]) -> None:
    """A row for each picture; the ranking, where it was asked for, as JSON in a column of text."""
    names = [name for name in Prediction.model_fields if name != "ranking"]
    columns = {name: [getattr(prediction, name) for prediction in predictions] for name in names}
    if any(prediction.ranking for prediction in predictions):
        columns["ranking"] = [json.dumps(prediction.ranking, ensure_ascii=False) for prediction in predictions]
    write_rows(out, columns)
