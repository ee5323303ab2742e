"""The ways to know classes: names in words, examples of each, both, or what a model was trained to tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import (
    AnyLearner,
    Classifier,
    Embeddings,
    Encoder,
    Learner,
    NamedClasses,
    NamedLearner,
    OwnClasses,
)
from chiasm.core.seeds import stream
from chiasm.data.described import describe, name_vectors, reader
from chiasm.data.prompts import ClassNames, Templates, check_names, check_templates
from chiasm.ops.labels import match_names, rank_in_class, relabel
from chiasm.ops.log_odds import through_unit_length

Origin = Literal["labels", "examples", "labels and examples", "model"]
Probabilities = Callable[[Embeddings], Float[np.ndarray, "B K"]]
Gradients = Callable[[Embeddings, Int[np.ndarray, " B"]], Float[np.ndarray, "B D"]]


@dataclass(frozen=True, slots=True)
class Known:
    """Classes, and what tells them apart.

    Attributes:
        origin: what they are known from.
        classes: their names, in the order of the probabilities.
        probabilities: of each class for each picture.
        gradients: how the log-odds of one class against the others, for each picture, change with the numbers of its
            vector at its own length.
        independent: True where each class is judged on its own, so that probabilities need not sum to 1.
        num_examples: pictures learnt from, by class; empty without examples.
        learnt: those pictures, unreadable ones included; None without examples.
        skipped: those that could not be read, and why.
        vectors: of length 1, what the classes' names mean to the model; None where it was not asked for names.
    """

    origin: Origin
    classes: tuple[str, ...]
    probabilities: Probabilities
    gradients: Gradients
    independent: bool = False
    num_examples: dict[str, int] = field(default_factory=dict)
    learnt: Source | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    vectors: Float[np.ndarray, "K D"] | None = None


def from_labels(model: Encoder, labels: ClassNames, templates: Templates, least: int = 2) -> Known:
    """Classes known by their names: a picture is compared with sentences about each.

    Args:
        model: the encoder.
        labels: names.
        templates: sentences around each name.
        least: how many names it takes where one of them is always right, as with CLIP.

    Raises:
        InputError: the model reads no text, or the names or templates are none.
    """
    otherwise = "give examples (pictures with classes), or take a model that was tied to language"
    known = describe(model, labels, templates, otherwise, least)
    ways = _of_units(known.classifier)
    return Known("labels", known.names, *ways, independent=known.independent, vectors=known.vectors)


def from_examples(model: Encoder, examples: Source, learner: AnyLearner | None, shots: int | None, seed: int) -> Known:
    """Classes known by examples: a classifier is fitted on their vectors.

    Raises:
        InputError: the examples have no classes or a class without a readable picture, the learner needs names too, or
            a number is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if learner is None:
        raise InputError("a learner for the examples", "none came", "pass one of chiasm.adapt, logistic for instance")
    if not isinstance(learner, Learner):
        raise InputError("a learner that needs no names", "this one reads them", "take logistic or centroid")
    drawn = _draw(examples, shots, seed)
    known = model.embed(drawn)
    counts = _count(known.labels, examples, "a readable example")
    classifier = learner.fit(known.vectors, known.labels, len(examples.classes))
    return Known(
        "examples",
        examples.classes,
        *_of_units(classifier),
        num_examples=dict(zip(examples.classes, counts.tolist(), strict=True)),
        learnt=drawn,
        skipped=known.skipped,
    )


def from_both(
    model: Encoder,
    labels: ClassNames | None,
    templates: Templates,
    examples: Source,
    learner: NamedLearner,
    shots: int | None,
    seed: int,
) -> Known:
    """Classes known by their names and by examples: what the names mean to the model is refined on the examples.

    Args:
        model: the encoder.
        labels: names; those of the examples' classes if not given. There may be more of them than have examples.
        templates: sentences around each name.
        examples: pictures with classes.
        learner: what makes one classifier of both.
        shots: examples of each class to use, drawn by `seed`.
        seed: draws the shots.

    Raises:
        InputError: the model reads no text, there are fewer than two classes, a class of the examples is not among the
            names or has no readable picture, or a number is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    text = reader(model, "take a learner that needs no names, such as logistic")
    drawn = _draw(examples, shots, seed)
    names = check_names(examples.classes if labels is None else labels, "labels")
    if len(names) < 2:
        raise InputError(
            "at least two classes to choose from", f"only {', '.join(names)} came", "name another class too"
        )
    templates = check_templates(templates, "templates")
    own = match_names(examples.classes, names)
    foreign = [name for name, match in zip(examples.classes, own, strict=True) if match not in names]
    if foreign:
        raise InputError(
            f"the classes of {examples.name} among the labels", f"{foreign[0]!r} is not", "name it, or leave labels out"
        )
    known = model.embed(drawn)
    _count(known.labels, examples, "a readable example")
    numbers = relabel(known.labels, own, names)
    vectors = name_vectors(text, names, templates)
    classifier = learner.fit_named(known.vectors, numbers, NamedClasses(names, vectors, text))
    counts = np.bincount(numbers, minlength=len(names)).tolist()
    return Known(
        "labels and examples",
        names,
        *_of_units(classifier),
        num_examples=dict(zip(names, counts, strict=True)),
        learnt=drawn,
        skipped=known.skipped,
        vectors=vectors,
    )


def from_model(model: Encoder, data: Source) -> Known:
    """The classes that a model was trained on.

    Raises:
        InputError: it has none; the classes of `data` are offered, where a model that reads text could be asked.
    """
    own = model.own_classes
    if own is not None:
        return Known("model", own.classes, *_of_lengths(own))
    words = "labels (names of classes) or " if model.text is not None else ""
    offered = f"; {data.name} has {','.join(data.classes[:5])}" if words and data.classes else ""
    raise InputError(
        "to know the classes",
        f"{model.name} has none of its own",
        f"give {words}examples (pictures with classes){offered}",
    )


def _of_units(classifier: Classifier) -> tuple[Probabilities, Gradients]:
    """Most classifiers read vectors of length 1."""

    def gradients(asked: Embeddings, classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        return through_unit_length(classifier.gradients(asked.vectors, classes), asked.vectors, asked.norms)

    return lambda asked: classifier.probabilities(asked.vectors), gradients


def _of_lengths(own: OwnClasses) -> tuple[Probabilities, Gradients]:
    """The classes of a model itself are read from vectors of their own length."""

    def whole(asked: Embeddings) -> Float[np.ndarray, "B D"]:
        return asked.vectors * asked.norms[:, None]

    return lambda asked: own.probabilities(whole(asked)), lambda asked, classes: own.gradients(whole(asked), classes)


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
