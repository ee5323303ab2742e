"""Zero-shot: how well a model that reads text names the classes of pictures, told their names alone.

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    section 3.1; the average over several sentences in 3.1.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from jaxtyping import Float, Int

from chiasm.core.errors import InputError
from chiasm.core.example import Judged
from chiasm.core.predictors import Embeddings, Encoder
from chiasm.core.tables import Value
from chiasm.data.described import describe
from chiasm.data.prompts import PLAIN, ClassNames, Templates
from chiasm.evaluate._answer import Evaluation
from chiasm.evaluate._grid import grid
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._scores import Judgement, score
from chiasm.ops.labels import match_names, relabel


class ZeroshotResult(Judgement):
    """What `zeroshot` found.

    Attributes:
        num_classes: names that there were to choose from.
        num_templates: sentences about each class that were averaged.
        independent: True where each class was judged on its own (SigLIP): the probability of an answer, by which
            calibration is judged, does not depend on the other classes.
    """

    num_classes: int
    num_templates: int
    independent: bool

    def figures(self) -> Mapping[str, Value]:
        return {"classes": self.num_classes, **super().figures()}


def zeroshot(
    models: Sequence[Encoder],
    *,
    data: Sequence[Judged],
    labels: ClassNames | None = None,
    templates: Templates | None = None,
    **options: Unpack[Options],
) -> Evaluation[ZeroshotResult]:
    """Judge models that read text by how well they name the classes of pictures, without examples.

    Args:
        models: the encoders, one or several.
        data: pictures with classes, one data set or several; the test split where there is one.
        labels: names of the classes to choose from (a text file with one per line, a .json list, or `cat,dog,horse`);
            by default those of the data. The data may have fewer; case, blanks and underscores do not count.
        templates: sentences around each name, over which the model's answer is averaged: `plain` ("a photo of a {}.",
            meant when none are given), `simple` (7), `imagenet` (80), a file with one per line, or one sentence with {}
            where the name goes.
        options: of every evaluation.

    Raises:
        InputError: an option is out of range, no model reads text, or no data set has classes that are asked about.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    plan = Plan(**options)
    sentences = PLAIN if templates is None else templates

    def judge(model: Encoder, source: Judged) -> list[ZeroshotResult]:
        found = answers_in_words(model, source, labels, sentences)
        return [
            ZeroshotResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=source.name,
                scores=score(found.probabilities, found.truth, found.names, plan.bootstrap, plan.seed),
                num_classes=len(found.names),
                num_templates=len(sentences),
                independent=found.independent,
                skipped=found.skipped,
            )
        ]

    found = grid(
        Evaluation[ZeroshotResult], "zeroshot", map(plan.remembered, models), data, lambda source: source.name, judge
    )
    return plan.finished(found, lambda pages: pages.classification)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered when it was told the names of classes, for each picture that has one.

    Attributes:
        keys: identity of each picture.
        probabilities: of each class.
        truth: place of the right class.
        names: of the classes.
        independent: whether each class was judged on its own.
        skipped: pictures that could not be read, and why.
    """

    keys: tuple[str, ...]
    probabilities: Float[np.ndarray, "B K"]
    truth: Int[np.ndarray, " B"]
    names: tuple[str, ...]
    independent: bool
    skipped: dict[str, str]


def answers_in_words(model: Encoder, source: Judged, labels: ClassNames | None, templates: Templates) -> Answers:
    """Ask a model which of some names fits each picture.

    Args:
        model: the encoder.
        source: pictures with classes.
        labels: names to choose from; None: the classes of the source.
        templates: sentences around each name.

    Raises:
        InputError: the model reads no text, the source has no classes, or one that is not among the names.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if not source.classes:
        raise InputError("pictures with classes", f"{source.name} has none", "use one folder per class")
    names = source.classes if labels is None else labels
    known = describe(model, names, templates, "take a model that was tied to language")
    found = model.embed(source)
    truth = _truth(found, source, known.names)
    kept = np.flatnonzero(truth >= 0)
    return Answers(
        keys=tuple(found.keys[row] for row in kept),
        probabilities=known.classifier.probabilities(found.vectors[kept]),
        truth=truth[kept],
        names=known.names,
        independent=known.independent,
        skipped=dict(found.skipped),
    )


def _truth(found: Embeddings, source: Judged, names: tuple[str, ...]) -> Int[np.ndarray, " B"]:
    """Place of the right class among the names, -1 for a picture without a class.

    Raises:
        InputError: no picture has a class, or the data has a class that is not among the names.
    """
    matched = match_names(source.classes, names)
    own = relabel(found.labels, matched, names)
    present = np.unique(found.labels[found.labels >= 0])
    foreign = [source.classes[label] for label in present.tolist() if matched[label] not in names]
    if foreign:
        raise InputError(
            f"the classes of {source.name} among the labels",
            f"{foreign[0]!r} is not",
            "name it too, or take its pictures out",
        )
    if not (own >= 0).any():
        raise InputError(f"labelled pictures in {source.name}", "none has a class", "use one folder per class")
    return own
