"""k-NN: how well the nearest training pictures name the class of a test picture; nothing is trained.

Paper: Caron et al., 2021, "Emerging Properties in Self-Supervised Vision Transformers" (arXiv 2104.14294), section 3.2
    and appendix F.1: 20 neighbours and a temperature of 0.07 serve all models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.evaluate._answer import Evaluation
from chiasm.evaluate._grid import grid, name_of_test
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._scores import Judgement, score
from chiasm.evaluate._vectors import SplitVectors, embed_apart


class KnnResult(Judgement):
    """What `knn` found.

    Attributes:
        train: source of the pictures that voted.
        k: neighbours that voted: what was asked for, or all that there are.
        temperature: of the votes.
        num_train: training pictures that were used.
        is_leave_one_out: train and test are one source, and no picture was its own neighbour.
    """

    train: str
    k: int
    temperature: float
    num_train: int
    is_leave_one_out: bool


def knn(
    models: Sequence[Encoder],
    *,
    data: Sequence[Splits],
    k: int = 20,
    temperature: float = 0.07,
    **options: Unpack[Options],
) -> Evaluation[KnnResult]:
    """Judge the vectors of models by weighted k-nearest-neighbour classification.

    Args:
        models: the encoders, one or several.
        data: training pictures (the neighbours) and test pictures, with classes; one data set or several. When both are
            the same source, each picture is judged by the others, copies left out.
        k: neighbours that vote.
        temperature: a neighbour's vote weighs exp(cosine / temperature).
        options: of every evaluation.

    Raises:
        InputError: an option is out of range, or no data set has classes in both splits.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_vote(k, temperature)
    plan = Plan(**options)

    def judge(model: Encoder, splits: Splits) -> list[KnnResult]:
        vectors = embed_apart(model, splits)
        return [
            KnnResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=splits.test.name,
                train=splits.train.name,
                scores=score(
                    knn_votes(vectors, k, temperature), vectors.test.labels, vectors.classes, plan.bootstrap, plan.seed
                ),
                k=min(k, vectors.num_neighbours),
                temperature=temperature,
                num_train=len(vectors.train.labels),
                is_leave_one_out=vectors.is_one_source,
                skipped=vectors.skipped,
            )
        ]

    found = grid(Evaluation[KnnResult], "knn", map(plan.remembered, models), data, name_of_test, judge)
    return plan.finished(found, lambda pages: pages.classification)


def knn_votes(vectors: SplitVectors, k: int, temperature: float) -> Float[np.ndarray, "B K"]:
    """Share of the neighbours' votes that each class gets, for each test picture.

    Raises:
        InputError: there is only one picture, which is to be judged by the others.
    """
    import torch

    from chiasm.ops.similarity import knn_classify

    if vectors.num_neighbours == 0:
        raise InputError("at least two pictures to compare", "there is one", "add pictures")
    own_rows = None
    if vectors.is_one_source:
        row_of = {key: row for row, key in enumerate(vectors.train.keys)}
        own_rows = torch.tensor([row_of.get(key, -1) for key in vectors.test.keys])
    votes = knn_classify(
        torch.from_numpy(np.require(vectors.test.vectors, np.float32, "W")),
        torch.from_numpy(np.require(vectors.train.vectors, np.float32, "W")),
        torch.from_numpy(vectors.train.labels),
        len(vectors.classes),
        k,
        temperature,
        own_rows,
    )
    return votes.double().numpy()


def check_vote(k: int, temperature: float) -> None:
    """Refuse settings under which there is no vote.

    Raises:
        InputError: k is below 1 or the temperature is not above 0.
    """
    if k < 1:
        raise InputError("at least one neighbour", f"k = {k} came", "20 is usual")
    if not temperature > 0:
        raise InputError("a temperature above 0", f"{temperature} came", "0.07 is usual")
