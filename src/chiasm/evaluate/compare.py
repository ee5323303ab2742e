"""Compare: which of two models is better on the same pictures, for which classes, and whether that is noise.

Every test picture is answered with both models, and the interval is that of the difference, picture by picture: what
is hard for both cancels out, so that smaller differences show than two separate intervals would admit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
from jaxtyping import Bool, Int

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder, Record
from chiasm.core.tables import Value
from chiasm.data.prompts import PLAIN, ClassNames, Templates
from chiasm.evaluate._answer import Evaluation, Result
from chiasm.evaluate._grid import grid
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._vectors import embed_apart
from chiasm.evaluate.knn import check_vote, knn_votes
from chiasm.evaluate.linear import check_apart, check_held_out, fit_probe
from chiasm.evaluate.zeroshot import answers_in_words
from chiasm.ops.bootstrap import bootstrap_mean
from chiasm.ops.paired import holm, mcnemar

By = Literal["knn", "linear", "zeroshot"]
NOISE = "no telling"
_RARE = 0.05


class ClassContest(Record):
    """How two models fared with one class.

    Attributes:
        model, baseline: share of its pictures that each answered right.
        difference: first minus second.
        p_value: of McNemar's exact test, adjusted by Holm's method for as many classes as there are.
        support: pictures of it.
    """

    model: float
    baseline: float
    difference: float
    p_value: float
    support: int


class Contest(Result):
    """Two models on the same pictures, judged in one way.

    Attributes:
        baseline: name of the model that it is compared with.
        by: how both were judged.
        accuracy: share of right answers of the model.
        baseline_accuracy: of the baseline.
        difference: first minus second, -1 to 1, with its paired interval.
        num_only_model, num_only_baseline: pictures that only one of them answered right.
        p_value: of McNemar's exact test: how often a split so uneven comes about between equals.
        better: name of the better one; None where it may be noise: the interval has 0 in it, or the p value is 0.05 or
            more.
        num_test: pictures that both models could read.
        per_class: of each class that the test has.
    """

    baseline: str
    by: By
    accuracy: Estimate
    baseline_accuracy: Estimate
    difference: Estimate
    num_only_model: int
    num_only_baseline: int
    p_value: float
    better: str | None
    num_test: int
    per_class: dict[str, ClassContest]

    def figures(self) -> Mapping[str, Value]:
        return {
            "by": self.by,
            "pictures": self.num_test,
            "accuracy": self.accuracy,
            "baseline": self.baseline_accuracy,
            "difference": self.difference,
            "only model right": self.num_only_model,
            "only baseline right": self.num_only_baseline,
            "p": self.p_value,
            "better": self.better or NOISE,
        }


def compare(
    model: Encoder,
    baseline: Encoder,
    *,
    data: Sequence[Splits],
    by: Sequence[By] = ("knn", "linear"),
    k: int = 20,
    temperature: float = 0.07,
    held_out: float = 0.2,
    labels: ClassNames | None = None,
    templates: Templates | None = None,
    **options: Unpack[Options],
) -> Evaluation[Contest]:
    """Tell which of two models is better on the same pictures, for which classes, and whether that may be noise.

    Args:
        model: the encoder.
        baseline: the encoder to compare with.
        data: training and test pictures, with classes; one data set or several.
        by: how to judge: knn, linear, zeroshot, or several of them.
        k: neighbours that vote.
        temperature: a neighbour's vote weighs exp(cosine / temperature).
        held_out: share of each class's training pictures on which the penalty of the probe is chosen.
        labels: names of the classes to choose from, for zeroshot; by default those of the data.
        templates: sentences around each name, for zeroshot.
        options: of every evaluation.

    Raises:
        InputError: an option is out of range, or no data set fits both models.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_vote(k, temperature)
    check_held_out(held_out)
    plan = Plan(**options)
    other = plan.remembered(baseline)

    def by_knn(encoder: Encoder, splits: Splits) -> _Answers:
        vectors = embed_apart(encoder, splits)
        answers = knn_votes(vectors, k, temperature).argmax(axis=1)
        return _Answers.of(vectors.test.keys, answers, vectors.test.labels, vectors.classes, vectors.skipped)

    def by_probe(encoder: Encoder, splits: Splits) -> _Answers:
        check_apart(splits)
        vectors = embed_apart(encoder, splits)
        answers = fit_probe(vectors, held_out, plan.seed).fit.probabilities(vectors.test.vectors).argmax(axis=1)
        return _Answers.of(vectors.test.keys, answers, vectors.test.labels, vectors.classes, vectors.skipped)

    def by_words(encoder: Encoder, splits: Splits) -> _Answers:
        found = answers_in_words(encoder, splits.test, labels, PLAIN if templates is None else templates)
        return _Answers.of(found.keys, found.probabilities.argmax(axis=1), found.truth, found.names, found.skipped)

    ways: dict[By, Callable[[Encoder, Splits], _Answers]] = {"knn": by_knn, "linear": by_probe, "zeroshot": by_words}

    def judge(encoder: Encoder, one: tuple[Splits, By]) -> list[Contest]:
        splits, way = one
        ours, theirs = ways[way](encoder, splits), ways[way](other, splits)
        return [_contest(encoder, other, splits, way, ours, theirs, plan)]

    asked: list[By] = [way for place, way in enumerate(by) if way not in by[:place]]
    pairs: list[tuple[Splits, By]] = [(splits, way) for splits in data for way in asked]
    found = grid(
        Evaluation[Contest],
        "compare",
        [plan.remembered(model)],
        pairs,
        lambda one: f"{one[0].test.name} by {one[1]}",
        judge,
    )
    return plan.finished(found, lambda pages: pages.contests)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What one model answered.

    Attributes:
        truth: class of each picture that was judged, by key.
        is_right: whether it was answered right.
        skipped: pictures that were left out, and why.
    """

    truth: dict[str, str]
    is_right: dict[str, bool]
    skipped: dict[str, str]

    @classmethod
    def of(
        cls,
        keys: Sequence[str],
        answers: Int[np.ndarray, " B"],
        labels: Int[np.ndarray, " B"],
        classes: Sequence[str],
        skipped: dict[str, str],
    ) -> _Answers:
        names = [classes[int(label)] for label in labels]
        is_right = dict(zip(keys, (answers == labels).tolist(), strict=True))
        return cls(dict(zip(keys, names, strict=True)), is_right, skipped)


def _contest(
    model: Encoder, baseline: Encoder, splits: Splits, by: By, ours: _Answers, theirs: _Answers, plan: Plan
) -> Contest:
    """Compare over the pictures that both models could read.

    Raises:
        InputError: there is no such picture.
    """
    shared = [key for key in ours.is_right if key in theirs.is_right]
    if not shared:
        raise InputError("test pictures that both models can read", "there is none", "check the pictures")
    right = np.array([ours.is_right[key] for key in shared])
    right_too = np.array([theirs.is_right[key] for key in shared])
    difference = bootstrap_mean(right.astype(float) - right_too, plan.bootstrap, plan.seed)
    p_value = _p_value(right, right_too)
    leader = model.name if difference.low > 0 else baseline.name if difference.high < 0 else None
    return Contest(
        model=model.name,
        fingerprint=model.fingerprint,
        data=splits.test.name,
        baseline=baseline.name,
        by=by,
        accuracy=bootstrap_mean(right, plan.bootstrap, plan.seed),
        baseline_accuracy=bootstrap_mean(right_too, plan.bootstrap, plan.seed),
        difference=difference,
        num_only_model=int((right & ~right_too).sum()),
        num_only_baseline=int((right_too & ~right).sum()),
        p_value=p_value,
        better=leader if p_value < _RARE else None,
        num_test=len(shared),
        per_class=_per_class(np.array([ours.truth[key] for key in shared]), right, right_too),
        skipped=ours.skipped | theirs.skipped,
    )


def _per_class(
    truth: np.ndarray, right: Bool[np.ndarray, " B"], right_too: Bool[np.ndarray, " B"]
) -> dict[str, ClassContest]:
    """The same for the pictures of each class, the largest differences first."""
    names = list(dict.fromkeys(truth.tolist()))
    own = [truth == name for name in names]
    adjusted = holm(np.array([_p_value(right[rows], right_too[rows]) for rows in own]))
    contests = {
        name: ClassContest(
            model=float(right[rows].mean()),
            baseline=float(right_too[rows].mean()),
            difference=float(right[rows].mean() - right_too[rows].mean()),
            p_value=float(p_value),
            support=int(rows.sum()),
        )
        for name, rows, p_value in zip(names, own, adjusted, strict=True)
    }
    return dict(sorted(contests.items(), key=lambda item: -abs(item[1].difference)))


def _p_value(right: Bool[np.ndarray, " B"], right_too: Bool[np.ndarray, " B"]) -> float:
    return mcnemar(int((right & ~right_too).sum()), int((right_too & ~right).sum()))
