"""k-NN: how well the nearest training pictures name the class of a test picture; nothing is trained.

Paper: Caron et al., 2021, "Emerging Properties in Self-Supervised Vision Transformers" (arXiv 2104.14294), section 3.2
    and appendix F.1: 20 neighbours and a temperature of 0.07 serve all models.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.example import Splits
from chiasm.core.predictors import Encoder
from chiasm.evaluate._scores import Judgement, check_draws, score
from chiasm.evaluate._vectors import SplitVectors, embed_splits


class KnnResult(Judgement):
    """What `knn` found.

    Attributes:
        k: neighbours that voted: what was asked for, or all that there are.
        temperature: of the votes.
        is_leave_one_out: train and test are one source, and no picture was its own neighbour.
    """

    k: int
    temperature: float
    is_leave_one_out: bool


def knn(
    model: Encoder, data: Splits, k: int = 20, temperature: float = 0.07, bootstrap: int = 1000, seed: int = 0
) -> KnnResult:
    """Judge a model's vectors by weighted k-nearest-neighbour classification.

    Args:
        model: the encoder.
        data: training pictures (the neighbours) and test pictures, with classes. When both are the same source, each
            picture is judged by the others.
        k: neighbours that vote.
        temperature: a neighbour's vote weighs exp(cosine / temperature).
        bootstrap: resampled sets of test pictures behind the interval.
        seed: of the resampling.

    Raises:
        InputError: k, temperature or bootstrap is out of range, or the splits have no classes in common.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_vote(k, temperature)
    check_draws(bootstrap)
    vectors = embed_splits(model, data)
    num_neighbours = len(vectors.train.labels) - int(vectors.is_one_source)
    if num_neighbours == 0:
        raise InputError("at least two pictures to compare", f"{data.train.name} has one", "add pictures")
    answers = knn_answers(vectors, k, temperature)
    return KnnResult(
        model=model.name,
        fingerprint=model.fingerprint,
        train=data.train.name,
        test=data.test.name,
        scores=score(answers, vectors.test.labels, vectors.classes, bootstrap, seed),
        k=min(k, num_neighbours),
        temperature=temperature,
        num_train=len(vectors.train.labels),
        is_leave_one_out=vectors.is_one_source,
        skipped=vectors.skipped,
    )


def knn_answers(vectors: SplitVectors, k: int, temperature: float) -> Int[np.ndarray, " B"]:
    """Class index that the neighbours vote for, for each test picture."""
    import torch

    from chiasm.ops.similarity import knn_classify

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
    return votes.argmax(dim=1).numpy()


def check_vote(k: int, temperature: float) -> None:
    """Refuse settings under which there is no vote.

    Raises:
        InputError: k is below 1 or the temperature is not above 0.
    """
    if k < 1:
        raise InputError("at least one neighbour", f"k = {k} came", "20 is usual")
    if not temperature > 0:
        raise InputError("a temperature above 0", f"{temperature} came", "0.07 is usual")
