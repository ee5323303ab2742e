"""Classify: name the class of pictures after a few examples of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import Embeddings, Encoder, Learner, Record
from chiasm.core.seeds import stream
from chiasm.ops.bootstrap import Estimate, bootstrap_mean
from chiasm.ops.labels import rank_in_class, relabel
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
    """

    key: str
    label: str
    probability: float
    runner_up: str | None
    runner_up_probability: float | None
    truth: str | None


class Classified(Record):
    """What `classify` answered.

    Attributes:
        model: name of the model.
        examples: name of the source of examples.
        data: name of the source that was classified.
        num_examples: examples learnt from, by class.
        num_predicted: how many pictures got each class.
        accuracy: share of right answers with its interval, where `data` has no other classes than `examples`; pictures
            that were examples themselves do not count. None where nothing is known or left to count.
        num_scored: pictures that the accuracy is over.
        predictions: one for each picture; none when they were written to `out`.
        out: the table that the predictions were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    examples: str
    data: str
    num_examples: dict[str, int]
    num_predicted: dict[str, int]
    accuracy: Estimate | None
    num_scored: int
    predictions: tuple[Prediction, ...]
    out: Path | None
    skipped: dict[str, str]


def classify(
    model: Encoder,
    examples: Source,
    data: Source,
    learner: Learner,
    shots: int | None = None,
    seed: int = 0,
    bootstrap: int = 1000,
    out: Path | None = None,
) -> Classified:
    """Name the class of each picture, after a few examples of each class.

    Args:
        model: the encoder.
        examples: pictures with classes (a folder with one folder per class).
        data: pictures to classify; when they have classes too, the accuracy is reported.
        learner: how to learn from the examples.
        shots: how many examples of each class to use, drawn by `seed`; all when not given.
        seed: draws the shots and the resampled pictures of the interval.
        bootstrap: resampled sets of pictures behind the interval of the accuracy.
        out: write the predictions to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: the examples have no classes or a class without a readable picture, or an option is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    if bootstrap < 1:
        raise InputError("at least one bootstrap draw", f"{bootstrap} came", "1000 is usual")
    known = model.embed(_draw(examples, shots, seed))
    counts = _count(known.labels, examples, "a readable example")
    asked = model.embed(data)
    classifier = learner.fit(known.vectors, known.labels, len(examples.classes))
    probabilities = classifier.probabilities(asked.vectors)
    truth = relabel(asked.labels, data.classes, examples.classes)
    predictions = _predictions(asked.keys, probabilities, truth, examples.classes)
    answers = probabilities.argmax(axis=1)
    num_predicted = np.bincount(answers, minlength=len(examples.classes))
    is_scored = _scored(asked, truth, examples, known.keys if examples.name == data.name else ())
    if out is not None:
        names = list(Prediction.model_fields)
        write_rows(out, {name: [getattr(prediction, name) for prediction in predictions] for name in names})
    return Classified(
        model=model.name,
        examples=examples.name,
        data=data.name,
        num_examples=dict(zip(examples.classes, counts.tolist(), strict=True)),
        num_predicted=dict(zip(examples.classes, num_predicted.tolist(), strict=True)),
        accuracy=bootstrap_mean((answers == truth)[is_scored], bootstrap, seed) if is_scored.any() else None,
        num_scored=int(is_scored.sum()),
        predictions=() if out else predictions,
        out=out,
        skipped=dict(known.skipped + asked.skipped),
    )


def _draw(examples: Source, shots: int | None, seed: int) -> Source:
    """The examples to learn from: those with a class, or some of each class.

    Raises:
        InputError: there are no classes, a class is empty, or fewer than one shot is asked for.
    """
    if not examples.classes:
        raise InputError(
            "examples with classes", f"{examples.name} has none", "put the pictures of each class into its own folder"
        )
    if shots is not None and shots < 1:
        raise InputError("at least one shot per class", f"{shots} came", "ask for one or more, or leave it out for all")
    positions = range(len(examples))
    labels = np.array([-1 if (label := examples.label(position)) is None else label for position in positions], int)
    chosen = labels >= 0
    _count(labels[chosen], examples, "an example")
    if shots is not None:
        chosen &= rank_in_class(labels, stream(seed, "shots")) < shots
    return Subset(examples, np.flatnonzero(chosen).tolist(), examples.name)


def _count(labels: Int[np.ndarray, " B"], examples: Source, what: str) -> Int[np.ndarray, " K"]:
    """How often each class occurs; `what` says in the error what a class lacks.

    Raises:
        InputError: a class does not occur.
    """
    counts = np.bincount(labels, minlength=len(examples.classes))
    if (counts == 0).any():
        empty = examples.classes[int(counts.argmin())]
        raise InputError(
            f"{what} of each class in {examples.name}",
            f"{empty!r} has none",
            "add a picture of it or remove the class",
        )
    return counts


def _scored(
    asked: Embeddings, truth: Int[np.ndarray, " B"], examples: Source, learnt: Sequence[str]
) -> Bool[np.ndarray, " B"]:
    """Which answers count: those with a known class, none of those learnt from, and none at all if classes differ."""
    if not set(asked.classes) <= set(examples.classes):
        return np.zeros(len(truth), dtype=bool)
    own = set(learnt)
    return np.array([right >= 0 and key not in own for key, right in zip(asked.keys, truth, strict=True)], dtype=bool)


def _predictions(
    keys: Sequence[str], probabilities: Float[np.ndarray, "B K"], truth: Int[np.ndarray, " B"], classes: Sequence[str]
) -> tuple[Prediction, ...]:
    """The two most probable classes of each picture, in words."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].tolist()
    return tuple(
        Prediction(
            key=key,
            label=classes[int(best[0])],
            probability=row[best[0]],
            runner_up=classes[int(best[1])] if len(best) > 1 else None,
            runner_up_probability=row[best[1]] if len(best) > 1 else None,
            truth=classes[int(right)] if right >= 0 else None,
        )
        for key, row, best, right in zip(keys, probabilities.tolist(), order, truth.tolist(), strict=True)
    )
