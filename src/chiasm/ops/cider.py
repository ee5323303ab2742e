"""CIDEr-D: how much a caption agrees with what several people wrote, rare words counting most.

Paper: Vedantam et al., 2015, "CIDEr: Consensus-based Image Description Evaluation" (arXiv 1411.5726), equations 1 and 2
    for tf-idf and CIDEr, section 7 for CIDEr-D (counts clipped at the reference's, a Gaussian penalty on the difference
    in length with sigma = 6, times 10).
Differs: as in the authors' own evaluation (coco-caption), counts are not divided by the number of runs of words; that
    would only matter where they are clipped. Words are not stemmed, as there.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from chiasm.ops.ngrams import LONGEST, NGram, up_to_longest

SIGMA = 6.0
_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Weighted:
    """A text as weights of its runs of 1, 2, 3 and 4 words.

    Attributes:
        weights: count times inverse document frequency of each run, by its length.
        norms: lengths of these as vectors.
        num_words: of the text.
    """

    weights: tuple[dict[NGram, float], ...]
    norms: tuple[float, ...]
    num_words: int


class Consensus:
    """What people wrote about a set of pictures.

    Args:
        references: words of the captions of each picture, at least one.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]) -> None:
        self._log_pictures = math.log(max(len(references), 1))
        self._spread: Counter[NGram] = Counter()
        for several in references:
            self._spread.update({run for words in several for counts in up_to_longest(words) for run in counts})
        self._references = [[self.weigh(words) for words in several] for several in references]

    def weigh(self, words: Sequence[str]) -> Weighted:
        """A text by how rare its runs of words are among the pictures; one that no picture has is as rare as can be."""
        weights = tuple(
            {run: count * (self._log_pictures - math.log(max(self._spread[run], 1))) for run, count in counts.items()}
            for counts in up_to_longest(words)
        )
        norms = tuple(math.sqrt(sum(weight * weight for weight in one.values())) for one in weights)
        return Weighted(weights, norms, len(words))

    def scores(self, captions: Sequence[Sequence[str]]) -> Float[np.ndarray, " B"]:
        """CIDEr-D of one caption per picture, in their order: 0 to 10, from the mean over the picture's references."""
        scored = [
            _FACTOR * sum(_agreement(weighed, one) for one in several) / len(several)
            for weighed, several in zip(map(self.weigh, captions), self._references, strict=True)
        ]
        return np.array(scored, dtype=np.float64)

    def most_typical(self) -> tuple[int, int]:
        """Picture and place of the reference that is closest to all by CIDEr, neither clipped nor penalised.

        The mean of cosines with many vectors is the product with their mean, so no two references are compared. Every
        picture weighs the same.
        """
        mean: list[defaultdict[NGram, float]] = [defaultdict(float) for _ in range(LONGEST)]
        for several in self._references:
            for one in several:
                for place, (weights, norm) in enumerate(zip(one.weights, one.norms, strict=True)):
                    for run, weight in weights.items() if norm else ():
                        mean[place][run] += weight / norm / len(several)
        _, picture, place = max(
            (self._typicality(one, mean), -picture, -place)
            for picture, several in enumerate(self._references)
            for place, one in enumerate(several)
        )
        return -picture, -place

    @staticmethod
    def _typicality(one: Weighted, mean: Sequence[dict[NGram, float]]) -> float:
        return sum(
            sum(weight * whole[run] for run, weight in weights.items()) / norm
            for weights, norm, whole in zip(one.weights, one.norms, mean, strict=True)
            if norm
        )


def _agreement(caption: Weighted, reference: Weighted) -> float:
    """Mean over the lengths of runs of the clipped cosine, less for texts of other lengths."""
    total = 0.0
    for place in range(LONGEST):
        theirs = reference.weights[place]
        norm = caption.norms[place] * reference.norms[place]
        if norm > 0:
            shared = ((weight, theirs[run]) for run, weight in caption.weights[place].items() if run in theirs)
            total += sum(min(mine, other) * other for mine, other in shared) / norm
    apart = caption.num_words - reference.num_words
    return total / LONGEST * math.exp(-(apart**2) / (2 * SIGMA**2))
