"""Stored: vectors that another tool made, in TTI-Eval's layout, judged by neighbours, probe and words.

Class names are not part of the layout; classes are called by their numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.tables import Value
from chiasm.data.stored_vectors import StoredModel, StoredVectors, read_vectors, stored_models
from chiasm.evaluate._answer import Evaluation
from chiasm.evaluate._grid import Pair, gathered
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._scores import Judgement, score
from chiasm.evaluate._vectors import Labelled, SplitVectors
from chiasm.evaluate.knn import check_vote, knn_votes
from chiasm.evaluate.linear import check_held_out, fit_probe
from chiasm.ops.zero_shot import SoftmaxOfCosines

By = Literal["zeroshot", "knn", "linear"]
_JUDGED = ("validation", "test")


class StoredResult(Judgement):
    """What `stored` found.

    Attributes:
        by: how it was judged.
        num_train: training pictures that were used; 0 by words.
    """

    by: By
    num_train: int

    def figures(self) -> Mapping[str, Value]:
        return {"by": self.by, **super().figures()}


def stored(
    root: Path,
    *,
    by: Sequence[By] = ("zeroshot", "knn", "linear"),
    models: Sequence[str] = (),
    data: Sequence[str] = (),
    k: int = 20,
    temperature: float = 0.07,
    held_out: float = 0.2,
    logit_scale: float = 100.0,
    **options: Unpack[Options],
) -> Evaluation[StoredResult]:
    """Judge vectors that TTI-Eval made (`ROOT/embeddings/DATASET/MODEL_SPLIT.npz`), or `build`.

    The pictures of `validation` are judged, as TTI-Eval does, or those of `test` where there is no such split.

    Args:
        root: the folder that holds `embeddings`.
        by: how to judge: zeroshot, knn, linear, or several of them.
        models: which models, by the names of their files; all unless given.
        data: which data sets, by the names of their folders; all unless given.
        k: neighbours that vote.
        temperature: a neighbour's vote weighs exp(cosine / temperature).
        held_out: share of each class's training pictures on which the penalty of the probe is chosen.
        logit_scale: what a cosine is multiplied by before the softmax over class vectors, which the files do not tell;
            it changes how sure answers are, not which they are.
        options: of every evaluation; nothing is encoded, so there is nothing to remember.

    Raises:
        InputError: an option is out of range, or nothing can be judged.
        UnknownNameError: there is no such model or data set.
    """
    check_vote(k, temperature)
    check_held_out(held_out)
    if not logit_scale > 0:
        raise InputError("a logit scale above 0", f"{logit_scale} came", "100 is usual")
    plan = Plan(**options)

    def by_words(one: StoredModel, judged: StoredVectors) -> tuple[Float[np.ndarray, "B K"], int]:
        if len(judged.classes) == 0:
            raise InputError(f"vectors of classes for {one.model}", "there are none", "judge it by knn or linear")
        return SoftmaxOfCosines(judged.classes, logit_scale).probabilities(judged.pictures), 0

    def by_knn(one: StoredModel, judged: StoredVectors) -> tuple[Float[np.ndarray, "B K"], int]:
        vectors = _split_vectors(one, judged)
        return knn_votes(vectors, k, temperature), len(vectors.train.labels)

    def by_probe(one: StoredModel, judged: StoredVectors) -> tuple[Float[np.ndarray, "B K"], int]:
        vectors = _split_vectors(one, judged)
        fit = fit_probe(vectors, held_out, plan.seed).fit
        return fit.probabilities(vectors.test.vectors), len(vectors.train.labels)

    ways: dict[By, Callable[[StoredModel, StoredVectors], tuple[Float[np.ndarray, "B K"], int]]] = {
        "zeroshot": by_words,
        "knn": by_knn,
        "linear": by_probe,
    }

    def judge(one: StoredModel, way: By) -> list[StoredResult]:
        path = _judged_file(one)
        judged = read_vectors(path)
        probabilities, num_train = ways[way](one, judged)
        names = [str(place) for place in range(probabilities.shape[1])]
        if judged.labels.max() >= len(names):
            raise InputError(f"classes below {len(names)} in {path}", f"{judged.labels.max()} came", "make it again")
        return [
            StoredResult(
                model=one.model,
                fingerprint=_fingerprint(judged),
                data=one.data,
                by=way,
                scores=score(probabilities, judged.labels, names, plan.bootstrap, plan.seed),
                num_train=num_train,
                skipped={},
            )
        ]

    def pair(one: StoredModel, way: By) -> Pair[StoredResult]:
        return Pair(one.model, f"{one.data} by {way}", lambda: judge(one, way))

    chosen = _chosen(stored_models(root), models, data)
    asked: list[By] = [way for place, way in enumerate(by) if way not in by[:place]]
    pairs = [pair(one, way) for one in chosen for way in asked]
    found = gathered(Evaluation[StoredResult], "stored", pairs)
    return plan.finished(found, lambda pages: pages.classification)


def _chosen(found: Sequence[StoredModel], models: Sequence[str], data: Sequence[str]) -> list[StoredModel]:
    """Those that were asked for.

    Raises:
        UnknownNameError: there is no such model or data set.
    """
    known = {"model": ({one.model for one in found}, models), "data set": ({one.data for one in found}, data)}
    for kind, (names, asked) in known.items():
        for name in asked:
            if name not in names:
                raise UnknownNameError(kind, name, names)
    return [one for one in found if one.model in (models or (one.model,)) and one.data in (data or (one.data,))]


def _judged_file(one: StoredModel) -> Path:
    """The file of the pictures to judge.

    Raises:
        InputError: there is none.
    """
    path = next((one.files[split] for split in _JUDGED if split in one.files), None)
    if path is None:
        raise InputError(
            f"vectors of {' or '.join(_JUDGED)} pictures of {one.data} by {one.model}",
            f"only {', '.join(one.files)} came",
            "build that split too",
        )
    return path


def _split_vectors(one: StoredModel, judged: StoredVectors) -> SplitVectors:
    """Training vectors beside those that are judged.

    Raises:
        InputError: there are none, or they are of another width.
    """
    if "train" not in one.files:
        raise InputError(
            f"vectors of training pictures of {one.data} by {one.model}",
            f"only {', '.join(one.files)} came",
            "build that split too, or judge by zeroshot",
        )
    train = read_vectors(one.files["train"])
    if train.pictures.shape[1] != judged.pictures.shape[1]:
        raise InputError(
            f"vectors of one width in both splits of {one.data} by {one.model}", "two came", "build both again"
        )
    num_classes = int(max(len(judged.classes), len(train.classes), train.labels.max() + 1, judged.labels.max() + 1))
    return SplitVectors(
        train=_labelled(train),
        test=_labelled(judged),
        classes=tuple(map(str, range(num_classes))),
        is_one_source=False,
        skipped={},
    )


def _labelled(vectors: StoredVectors) -> Labelled:
    return Labelled(vectors.pictures, vectors.labels, tuple(map(str, range(len(vectors.labels)))))


def _fingerprint(vectors: StoredVectors) -> str:
    """Of the vectors, since the files do not tell which weights they are from."""
    return hashlib.sha256(vectors.pictures.tobytes()).hexdigest()[:16]
