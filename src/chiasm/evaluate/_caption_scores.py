"""How good one caption for each picture is: what `captions` asks of a model's captions and of the baseline's alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import Encoder, Record
from chiasm.ops.bleu import bleu, bleu_counts
from chiasm.ops.bootstrap import bootstrap_mean, bootstrap_of_sums
from chiasm.ops.cider import Consensus
from chiasm.ops.clip_score import clip_prompt, clip_scores, ref_clip_scores
from chiasm.ops.words import caption_words


class CaptionScores(Record):
    """How good one caption for each picture is, with intervals over pictures.

    Attributes:
        bleu_1, bleu_2, bleu_3, bleu_4: of all captions together, 0 to 1.
        cider_d: mean over pictures, 0 to 10; how rare words are is told among the pictures at hand.
        clip_score: mean over pictures, 0 to 2.5; None without a scorer.
        ref_clip_score: the same with the captions of people; None without a scorer.
    """

    bleu_1: Estimate
    bleu_2: Estimate
    bleu_3: Estimate
    bleu_4: Estimate
    cider_d: Estimate
    clip_score: Estimate | None
    ref_clip_score: Estimate | None


class JudgedCaption(Record):
    """One caption.

    Attributes:
        key: of the picture.
        text: the caption; empty where none came.
        expected: what people wrote.
        cider_d: of it.
        clip_score: of it; None without a scorer.
    """

    key: str
    text: str
    expected: tuple[str, ...]
    cider_d: float
    clip_score: float | None


class PictureScorer:
    """Pictures in the space of a model that knows words too.

    Args:
        model: that model.
        source: the pictures.

    Raises:
        InputError: the model reads no text.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """

    def __init__(self, model: Encoder, source: Source) -> None:
        if model.text is None:
            raise InputError("a scorer that reads text", f"{model.name} sees pictures only", "name one such as CLIP")
        self._text = model.text
        embedded = model.embed(source)
        self.rows = {key: row for row, key in enumerate(embedded.keys)}
        self._vectors = embedded.vectors

    def pictures(self, keys: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """Vectors of pictures."""
        return self._vectors[[self.rows[key] for key in keys]]

    def captions(self, texts: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """Vectors of captions, after the beginning that CLIPScore gives them."""
        return self._text.embed([clip_prompt(text) for text in texts])


class CaptionJudge:
    """Judges one caption for each picture by what people wrote about it.

    Args:
        references: captions of people, at least one for each picture, by its key.
        scorer: for CLIPScore; None without. A picture that it could not read is left out of everything.
        num_draws: resampled sets of pictures behind the intervals.
        seed: of the resampling.
    """

    def __init__(
        self, references: Mapping[str, Sequence[str]], scorer: PictureScorer | None, num_draws: int, seed: int
    ) -> None:
        self.keys = tuple(key for key in references if scorer is None or key in scorer.rows)
        self._texts = [references[key] for key in self.keys]
        self._words = [[caption_words(text) for text in several] for several in self._texts]
        self._consensus = Consensus(self._words)
        self._scorer = scorer
        self._num_draws = num_draws
        self._seed = seed

    def __call__(self, texts: Mapping[str, str]) -> tuple[CaptionScores, tuple[JudgedCaption, ...]]:
        """Scores of all captions together and of each, the worst first.

        Args:
            texts: of each picture; a missing one counts as empty.
        """
        asked = [texts.get(key, "") for key in self.keys]
        words = [caption_words(text) for text in asked]
        counts, ciders = bleu_counts(words, self._words), self._consensus.scores(words)
        clip, both = self._by_model(asked)
        precisions = [self._bleu(counts, place) for place in range(4)]
        scores = CaptionScores(
            bleu_1=precisions[0],
            bleu_2=precisions[1],
            bleu_3=precisions[2],
            bleu_4=precisions[3],
            cider_d=self._mean(ciders),
            clip_score=None if clip is None else self._mean(clip),
            ref_clip_score=None if both is None else self._mean(both),
        )
        order = np.argsort(ciders, kind="stable").tolist()
        judged = (
            JudgedCaption(
                key=self.keys[row],
                text=asked[row],
                expected=tuple(self._texts[row]),
                cider_d=float(ciders[row]),
                clip_score=None if clip is None else float(clip[row]),
            )
            for row in order
        )
        return scores, tuple(judged)

    def _by_model(
        self, texts: Sequence[str]
    ) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]] | tuple[None, None]:
        """CLIPScore and RefCLIPScore of each caption."""
        if self._scorer is None:
            return None, None
        captions = self._scorer.captions(texts)
        scores = clip_scores(self._scorer.pictures(self.keys), captions)
        references = [self._scorer.captions(several) for several in self._texts]
        return scores, ref_clip_scores(scores, captions, references)

    def _bleu(self, counts: np.ndarray, place: int) -> Estimate:
        return bootstrap_of_sums(counts, lambda sums: bleu(sums)[:, place], self._num_draws, self._seed)

    def _mean(self, values: Float[np.ndarray, " B"]) -> Estimate:
        return bootstrap_mean(values, self._num_draws, self._seed)


def most_typical(references: Mapping[str, Sequence[str]]) -> str:
    """The caption that is closest to all captions of a set of pictures.

    Args:
        references: captions of people, at least one for each picture.
    """
    several = list(references.values())
    picture, place = Consensus([[caption_words(text) for text in texts] for texts in several]).most_typical()
    return several[picture][place]


def those(source: Source, keys: Mapping[str, object]) -> Source:
    """The pictures of a source that have one of some keys."""
    kept = [index for index in range(len(source)) if source.key(index) in keys]
    return Subset(source, kept, source.name)
