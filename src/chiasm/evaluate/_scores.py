"""How good a set of answers is: overall with an interval, per class, and averaged over classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.predictors import Record
from chiasm.ops.bootstrap import Estimate, bootstrap_mean


class Scores(Record):
    """How good a set of answers is.

    Attributes:
        accuracy: share of right answers, with its interval over pictures.
        balanced_accuracy: mean of the per-class accuracies: what the accuracy would be if classes were equally common.
        per_class: share of right answers among the pictures of each class that the test has.
        num_test: pictures judged.
    """

    accuracy: Estimate
    balanced_accuracy: float
    per_class: dict[str, float]
    num_test: int


class Judgement(Record):
    """What every judgement of a model's frozen vectors tells.

    Attributes:
        model: name of the model.
        fingerprint: of the model.
        train: source of the training pictures.
        test: source of the pictures judged.
        scores: how good the answers are.
        num_train: training pictures that were used.
        skipped: pictures that could not be read, and why.
    """

    model: str
    fingerprint: str
    train: str
    test: str
    scores: Scores
    num_train: int
    skipped: dict[str, str]


def score(
    answers: Int[np.ndarray, " B"], labels: Int[np.ndarray, " B"], classes: Sequence[str], num_draws: int, seed: int
) -> Scores:
    """Compare answers with the truth.

    Args:
        answers: class index that was answered for each picture.
        labels: class index that is right.
        classes: names of the classes.
        num_draws: resampled sets of pictures behind the interval.
        seed: of the resampling.
    """
    is_right = answers == labels
    per_class = {classes[int(label)]: float(is_right[labels == label].mean()) for label in np.unique(labels)}
    return Scores(
        accuracy=bootstrap_mean(is_right, num_draws, seed),
        balanced_accuracy=float(np.mean(list(per_class.values()))),
        per_class=per_class,
        num_test=len(labels),
    )


def check_draws(num_draws: int) -> None:
    """Refuse a bootstrap without draws before anything is computed.

    Raises:
        InputError: fewer than one draw.
    """
    if num_draws < 1:
        raise InputError("at least one bootstrap draw", f"{num_draws} came", "1000 is usual")
