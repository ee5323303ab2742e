"""Which sentence around a class's name helps which class: every template judged on the same pictures.

Pictures and sentences are encoded once; all figures are of the same cosines. Differences are taken picture by picture
and resampled together, so that what is hard for all templates cancels out.

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    section 3.1.4, which tells the gain of ensembles over one template; here it is told for each template and class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from chiasm.core.estimates import Estimate
from chiasm.core.predictors import Record, TextEncoder
from chiasm.data.prompts import PLAIN, Templates, prompts
from chiasm.ops.bootstrap import bootstrap_means
from chiasm.ops.vectors import unit_rows
from chiasm.ops.zero_shot import class_vectors


class TemplateScore(Record):
    """What one template does.

    Attributes:
        template: the sentence.
        accuracy: with it alone.
        against_plain: its accuracy minus that of the plain sentence, on the same pictures.
        in_ensemble: accuracy of all templates minus that of all but this one: above 0 where it helps the others; None
            where there are no others.
    """

    template: str
    accuracy: Estimate
    against_plain: Estimate
    in_ensemble: Estimate | None


class ClassScore(Record):
    """What templates do to one class.

    Attributes:
        name: of the class.
        num_pictures: of it.
        plain: accuracy with the plain sentence.
        ensemble: accuracy with all templates averaged.
        gain: second minus first, on the same pictures.
        best_template: the template with the highest accuracy for the class, the first of equals.
        best: its accuracy minus that of the plain sentence. The best of many looks better than it is.
        worst_template: the one with the lowest.
        worst: its accuracy minus that of the plain sentence.
    """

    name: str
    num_pictures: int
    plain: float
    ensemble: float
    gain: Estimate
    best_template: str
    best: Estimate
    worst_template: str
    worst: Estimate


class Effect(Record):
    """What one template does to one class.

    Attributes:
        name: of the class.
        template: the sentence.
        accuracy: with it alone, of the pictures of the class.
        against_plain: that minus the accuracy with the plain sentence, on the same pictures.
    """

    name: str
    template: str
    accuracy: float
    against_plain: Estimate


@dataclass(frozen=True, slots=True)
class Trial:
    """Which pictures are answered right with which sentences.

    Attributes:
        names: of the classes.
        templates: the sentences.
        labels: class of each picture.
        plain: right with the plain sentence.
        ensemble: right with all templates averaged.
        alone: right with each template alone, a column for each.
        without: right with all but one, a column for each; no columns where there is one template.
    """

    names: tuple[str, ...]
    templates: Templates
    labels: Int[np.ndarray, " B"]
    plain: Bool[np.ndarray, " B"]
    ensemble: Bool[np.ndarray, " B"]
    alone: Bool[np.ndarray, "B _"]
    without: Bool[np.ndarray, "B _"]


def tried(
    text: TextEncoder,
    vectors: Float[np.ndarray, "B D"],
    labels: Int[np.ndarray, " B"],
    names: Sequence[str],
    templates: Templates,
) -> Trial:
    """Classify pictures with every template.

    Args:
        text: the side of the model that reads.
        vectors: of the pictures, of length 1.
        labels: index of each picture's class into `names`.
        names: of the classes.
        templates: sentences.
    """
    said = _said(text, names, templates)
    usual = _said(text, names, PLAIN)
    rest = (
        [class_vectors(np.delete(said, place, axis=1)) for place in range(len(templates))] if len(templates) > 1 else []
    )
    return Trial(
        names=tuple(names),
        templates=templates,
        labels=labels,
        plain=_right(vectors, class_vectors(usual), labels),
        ensemble=_right(vectors, class_vectors(said), labels),
        alone=_columns([_right(vectors, said[:, place], labels) for place in range(len(templates))], len(labels)),
        without=_columns([_right(vectors, classes, labels) for classes in rest], len(labels)),
    )


def template_scores(trial: Trial, num_draws: int, seed: int) -> tuple[TemplateScore, ...]:
    """Scores of each template, the most accurate first."""
    accuracies = bootstrap_means(trial.alone, num_draws, seed)
    gains = bootstrap_means(_minus(trial.alone, trial.plain[:, None]), num_draws, seed)
    shares: Sequence[Estimate | None] = [None] * len(trial.templates)
    if trial.without.shape[1]:
        shares = bootstrap_means(_minus(trial.ensemble[:, None], trial.without), num_draws, seed)
    scores = [
        TemplateScore(template=template, accuracy=accuracy, against_plain=gain, in_ensemble=share)
        for template, accuracy, gain, share in zip(trial.templates, accuracies, gains, shares, strict=True)
    ]
    return tuple(sorted(scores, key=lambda one: -one.accuracy.value))


def class_scores(trial: Trial, num_draws: int, seed: int) -> tuple[tuple[ClassScore, ...], tuple[Effect, ...]]:
    """Scores of each class that has pictures, and what each template does to it, the clearest effects first."""
    classes, effects = [], []
    for label, rows in _by_class(trial.labels):
        alone, plain, ensemble = trial.alone[rows], trial.plain[rows], trial.ensemble[rows]
        compared = np.concatenate([ensemble[:, None], alone], axis=1)
        gain, *against = bootstrap_means(_minus(compared, plain[:, None]), num_draws, seed)
        shares = alone.mean(axis=0)
        best, worst = int(shares.argmax()), int(shares.argmin())
        name = trial.names[label]
        classes.append(
            ClassScore(
                name=name,
                num_pictures=len(rows),
                plain=float(plain.mean()),
                ensemble=float(ensemble.mean()),
                gain=gain,
                best_template=trial.templates[best],
                best=against[best],
                worst_template=trial.templates[worst],
                worst=against[worst],
            )
        )
        effects += [
            Effect(name=name, template=template, accuracy=float(share), against_plain=one)
            for template, share, one in zip(trial.templates, shares, against, strict=True)
        ]
    return tuple(classes), tuple(sorted(effects, key=_clarity, reverse=True))


def _clarity(effect: Effect) -> tuple[bool, float]:
    """Effects that the pictures can show come before others, large ones before small ones."""
    estimate = effect.against_plain
    return estimate.low > 0 or estimate.high < 0, abs(estimate.value)


def _said(text: TextEncoder, names: Sequence[str], templates: Templates) -> Float[np.ndarray, "K _ D"]:
    """Vectors of length 1 of all sentences about all classes."""
    found = text.embed([sentence for name in names for sentence in prompts(name, templates)])
    return unit_rows(found.astype(np.float64))[0].reshape(len(names), len(templates), found.shape[1])


def _right(
    vectors: Float[np.ndarray, "B D"], classes: Float[np.ndarray, "K D"], labels: Int[np.ndarray, " B"]
) -> Bool[np.ndarray, " B"]:
    return (vectors @ classes.T).argmax(axis=1) == labels


def _columns(found: Sequence[Bool[np.ndarray, " B"]], num_rows: int) -> Bool[np.ndarray, "B _"]:
    return np.stack(found, axis=1) if found else np.zeros((num_rows, 0), dtype=bool)


def _minus(left: Bool[np.ndarray, "B _"], right: Bool[np.ndarray, "B _"]) -> Float[np.ndarray, "B _"]:
    return left.astype(np.float64) - right.astype(np.float64)


def _by_class(labels: Int[np.ndarray, " B"]) -> Iterator[tuple[int, Int[np.ndarray, " _"]]]:
    for label in np.unique(labels).tolist():
        yield label, np.flatnonzero(labels == label)
