"""BLEU: which share of the runs of words of captions occurs in what people wrote.

Paper: Papineni et al., 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation", section 2. Counts of a
    whole set are added up before anything is divided. Of several references the one of the closest length counts for
    the brevity penalty, the shorter one of two that are equally close, as coco-caption takes it.
Differs: nothing is smoothed; without any common run of some length, BLEU of that length and of longer ones is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from chiasm.ops.ngrams import LONGEST, NGram, up_to_longest


def bleu_counts(
    captions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> Int[np.ndarray, "B _"]:
    """What BLEU is made of, one row per picture; rows can be added up.

    Args:
        captions: words of the caption of each picture.
        references: words of the captions that people wrote, at least one for each picture.

    Returns:
        Runs of 1 to 4 words that occur in a reference (each as often as in that which has it most often), runs of 1 to
        4 words, number of words, and words of the reference of the closest length.
    """
    rows = [_row(caption, several) for caption, several in zip(captions, references, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, 2 * LONGEST + 2)


def bleu(counts: Float[np.ndarray, "S _"]) -> Float[np.ndarray, "S _"]:
    """BLEU-1 to BLEU-4, 0 to 1, of sums of rows of `bleu_counts`."""
    matched, possible = counts[:, :LONGEST], counts[:, LONGEST : 2 * LONGEST]
    length, wanted = counts[:, -2:].T
    with np.errstate(divide="ignore"):
        logs = np.log(matched / np.maximum(possible, 1))
    means = np.cumsum(logs, axis=1) / np.arange(1, LONGEST + 1)
    brevity = np.minimum(1 - wanted / np.maximum(length, 1), 0)
    return np.exp(means + brevity[:, None])


def _row(caption: Sequence[str], references: Sequence[Sequence[str]]) -> list[int]:
    found = up_to_longest(caption)
    most: list[Counter[NGram]] = [Counter() for _ in range(LONGEST)]
    for reference in references:
        for place, counted in enumerate(up_to_longest(reference)):
            most[place] |= counted
    matched = [(mine & theirs).total() for mine, theirs in zip(found, most, strict=True)]
    wanted = min((abs(len(reference) - len(caption)), len(reference)) for reference in references)[1]
    return [*matched, *(mine.total() for mine in found), len(caption), wanted]
