"""Compare: whether one model's vectors are better than another's on the same pictures, and how surely.

Every test picture is answered with both models, and the interval is that of the difference, picture by picture: what
is hard for both cancels out, so that smaller differences show than two separate intervals would admit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder, Record
from chiasm.evaluate._scores import check_draws
from chiasm.evaluate._vectors import SplitVectors, embed_splits
from chiasm.evaluate.knn import check_vote, knn_answers
from chiasm.evaluate.linear import check_probe, fit_probe
from chiasm.ops.bootstrap import Estimate, bootstrap_mean


class Contest(Record):
    """Two accuracies on the same pictures.

    Attributes:
        model: accuracy of the model.
        baseline: accuracy of the baseline.
        difference: first minus second, -1 to 1; an interval without 0 is a difference that the pictures can show.
    """

    model: Estimate
    baseline: Estimate
    difference: Estimate


class Comparison(Record):
    """What `compare` found.

    Attributes:
        model: name of the model.
        baseline: name of the model that it is compared with.
        train: source of the training pictures.
        test: source of the pictures judged.
        knn: by k-nearest-neighbour classification.
        linear: by linear probe.
        num_test: pictures that both models could read.
    """

    model: str
    baseline: str
    train: str
    test: str
    knn: Contest
    linear: Contest
    num_test: int


def compare(
    model: Encoder,
    baseline: Encoder,
    data: Splits,
    k: int = 20,
    temperature: float = 0.07,
    held_out: float = 0.2,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Tell whether a model's vectors are better than a baseline's, by k-NN and by linear probe.

    Args:
        model: the encoder.
        baseline: the encoder to compare with.
        data: training and test pictures, with classes.
        k: neighbours that vote.
        temperature: a neighbour's vote weighs exp(cosine / temperature).
        held_out: share of each class's training pictures on which the penalty of the probe is chosen.
        bootstrap: resampled sets of test pictures behind the intervals.
        seed: draws the held-out pictures and the resampled sets.

    Raises:
        InputError: an option is out of range, the splits have no classes in common or are the same source.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_vote(k, temperature)
    check_draws(bootstrap)
    check_probe(data, held_out)
    ours, theirs = embed_splits(model, data), embed_splits(baseline, data)
    knn = [_right(vectors, knn_answers(vectors, k, temperature)) for vectors in (ours, theirs)]
    linear = [_right(vectors, fit_probe(vectors, held_out, seed).answers(vectors)) for vectors in (ours, theirs)]
    return Comparison(
        model=model.name,
        baseline=baseline.name,
        train=data.train.name,
        test=data.test.name,
        knn=_contest(knn[0], knn[1], bootstrap, seed),
        linear=_contest(linear[0], linear[1], bootstrap, seed),
        num_test=len(knn[0].keys() & knn[1].keys()),
    )


def _right(vectors: SplitVectors, answers: Int[np.ndarray, " B"]) -> dict[str, bool]:
    """Whether each test picture was answered right, by key."""
    return dict(zip(vectors.test.keys, (answers == vectors.test.labels).tolist(), strict=True))


def _contest(ours: Mapping[str, bool], theirs: Mapping[str, bool], num_draws: int, seed: int) -> Contest:
    """Accuracies over the pictures that both models could read.

    Raises:
        InputError: there is no such picture.
    """
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise InputError("test pictures that both models can read", "there is none", "check the pictures")
    right = np.array([ours[key] for key in shared], dtype=float)
    right_too = np.array([theirs[key] for key in shared], dtype=float)
    return Contest(
        model=bootstrap_mean(right, num_draws, seed),
        baseline=bootstrap_mean(right_too, num_draws, seed),
        difference=bootstrap_mean(right - right_too, num_draws, seed),
    )
