"""Retrieval: how early a picture is found by its caption among all pictures, and a caption by its picture.

Paper: Karpathy and Fei-Fei, 2015, "Deep Visual-Semantic Alignments for Generating Image Descriptions"
    (arXiv 1412.2306), section 4.2: recall at 1, 5 and 10 and median rank, in both directions. A picture may have
    several captions: finding any one of them counts, and each of them has to find the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Unpack

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Judged
from chiasm.core.predictors import Embeddings, Encoder, Record
from chiasm.core.tables import Value
from chiasm.data.described import reader
from chiasm.data.processors import num_processors
from chiasm.evaluate._answer import Evaluation, Result
from chiasm.evaluate._grid import grid
from chiasm.evaluate._options import Options, Plan
from chiasm.ops.bootstrap import bootstrap_of
from chiasm.ops.retrieval import first_ranks

# Captions are read with their pictures, which no source need decode at more than this.
_LEAST_PX = 1


class Recall(Record):
    """How early the first right answer comes.

    Attributes:
        recall_at_1, recall_at_5, recall_at_10: share of queries with a right answer so early; intervals over pictures.
        median_rank: of the first right answer, counted from 1.
        num_queries: how many were asked.
        num_answers: how many there were to choose from.
    """

    recall_at_1: Estimate
    recall_at_5: Estimate
    recall_at_10: Estimate
    median_rank: float
    num_queries: int
    num_answers: int


class RetrievalResult(Result):
    """What `retrieval` found.

    Attributes:
        text_to_picture: a caption looks for its picture.
        picture_to_text: a picture looks for one of its captions.
        num_without_caption: pictures that have none and were left out.
    """

    text_to_picture: Recall
    picture_to_text: Recall
    num_without_caption: int

    def figures(self) -> Mapping[str, Value]:
        ways = {"text to picture": self.text_to_picture, "picture to text": self.picture_to_text}
        return {"pictures": self.picture_to_text.num_queries, "captions": self.text_to_picture.num_queries} | {
            f"{way} {name}": value
            for way, found in ways.items()
            for name, value in (
                ("R@1", found.recall_at_1),
                ("R@5", found.recall_at_5),
                ("R@10", found.recall_at_10),
                ("median rank", found.median_rank),
            )
        }


def retrieval(
    models: Sequence[Encoder], *, data: Sequence[Judged], **options: Unpack[Options]
) -> Evaluation[RetrievalResult]:
    """Judge models that read text by finding pictures by their captions and captions by their pictures.

    Args:
        models: the encoders, one or several.
        data: pictures with captions, one data set or several; the test split where there is one.
        options: of every evaluation.

    Raises:
        InputError: an option is out of range, no model reads text, or no data set has two pictures with captions.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    plan = Plan(**options)

    def judge(model: Encoder, source: Judged) -> list[RetrievalResult]:
        text = reader(model, "take a model that was tied to language")
        found = model.embed(source)
        captions = _captions(source, found)
        kept = np.array([row for row, own in enumerate(captions) if own], int)
        if len(kept) < 2:
            raise InputError(
                "at least two pictures with captions", f"{source.name} has {len(kept)}", "give a source with captions"
            )
        pictures = found.vectors[kept]
        groups = np.repeat(np.arange(len(kept)), [len(captions[row]) for row in kept])
        texts = text.embed([caption for row in kept for caption in captions[row]])
        own = np.arange(len(kept))
        return [
            RetrievalResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=source.name,
                text_to_picture=_recall(first_ranks(texts, groups, pictures, own), groups, len(kept), plan),
                picture_to_text=_recall(first_ranks(pictures, own, texts, groups), own, len(texts), plan),
                num_without_caption=len(captions) - len(kept),
                skipped=dict(found.skipped),
            )
        ]

    found = grid(
        Evaluation[RetrievalResult], "retrieval", map(plan.remembered, models), data, lambda source: source.name, judge
    )
    return plan.finished(found, lambda pages: pages.plain)


def _captions(source: Judged, found: Embeddings) -> list[tuple[str, ...]]:
    """The captions of each picture that was embedded, each once."""
    places = {source.key(place): place for place in range(len(source))}

    def read(key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source.read(places[key], _LEAST_PX).captions))

    with ThreadPoolExecutor(num_processors(), thread_name_prefix="captions") as pool:
        return list(pool.map(read, found.keys))


def _recall(ranks: Int[np.ndarray, " B"], groups: Int[np.ndarray, " B"], num_answers: int, plan: Plan) -> Recall:
    """Sum up ranks; pictures are resampled, each with all its captions."""
    num_groups = int(groups.max()) + 1
    sizes = np.bincount(groups, minlength=num_groups)

    def recall(most: int) -> Estimate:
        found = np.bincount(groups, ranks <= most, minlength=num_groups)
        return bootstrap_of(lambda counts: (counts @ found) / (counts @ sizes), num_groups, plan.bootstrap, plan.seed)

    return Recall(
        recall_at_1=recall(1),
        recall_at_5=recall(5),
        recall_at_10=recall(10),
        median_rank=float(np.median(ranks)),
        num_queries=len(ranks),
        num_answers=num_answers,
    )
