"""Captions: how well a model's captions, or those in a file, agree with what people wrote about the same pictures.

BLEU-1 to BLEU-4 over all captions, CIDEr-D per picture, and, with a model that knows pictures and words, CLIPScore and
RefCLIPScore. The same is told of one caption given to every picture: what comes close to it says nothing.

Paper: Papineni et al., 2002 (BLEU); Vedantam et al., 2015, arXiv 1411.5726 (CIDEr-D); Hessel et al., 2021, arXiv
    2104.08718 (CLIPScore). How words are told apart: `chiasm.ops.words`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Judged, Knowing, Source
from chiasm.core.predictors import Captioner, Encoder
from chiasm.core.tables import Value
from chiasm.data.written import WrittenCaptions
from chiasm.evaluate._answer import Evaluation, Result
from chiasm.evaluate._caption_scores import (
    CaptionJudge,
    CaptionScores,
    JudgedCaption,
    PictureScorer,
    most_typical,
    those,
)
from chiasm.evaluate._grid import grid
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._told import Told, told_captions
from chiasm.evaluate._writers import writers
from chiasm.ops.bootstrap import bootstrap_of_sums


class CaptionsResult(Result):
    """What `captions` found.

    Attributes:
        scorer: the model behind CLIPScore; None without one.
        scores: how good the captions are.
        baseline: the same for one caption given to every picture.
        baseline_caption: that caption: the one closest to all captions of `baseline_from`.
        baseline_from: the source that it was taken from.
        named_right: share of the objects named in captions that are there as they are said to look, with its interval
            over pictures (1 - CHAIRi, arXiv 1809.02156); None where the source cannot tell, or none is named.
        num_named: how many are named.
        num_pictures: pictures judged: all that have captions of people and can be read.
        num_missing: those of them for which no caption came; they count as empty captions.
        judged: one for each picture, the worst by CIDEr-D first.
    """

    scorer: str | None
    scores: CaptionScores
    baseline: CaptionScores
    baseline_caption: str
    baseline_from: str
    named_right: Estimate | None
    num_named: int
    num_pictures: int
    num_missing: int
    judged: tuple[JudgedCaption, ...]

    def figures(self) -> Mapping[str, Value]:
        return {
            "pictures": self.num_pictures,
            "missing": self.num_missing,
            "CIDEr-D": self.scores.cider_d,
            "BLEU-4": self.scores.bleu_4,
            "BLEU-1": self.scores.bleu_1,
            "CLIPScore": self.scores.clip_score,
            "RefCLIPScore": self.scores.ref_clip_score,
            "named right": self.named_right,
            "baseline CIDEr-D": self.baseline.cider_d,
        }


def captions(
    models: Sequence[Captioner] = (),
    *,
    data: Sequence[Judged],
    answers: Path | None = None,
    train: Source | None = None,
    scorer: Encoder | None = None,
    **options: Unpack[Options],
) -> Evaluation[CaptionsResult]:
    """Judge captions of pictures by what people wrote about them.

    Args:
        models: what captions pictures, one or several.
        data: pictures with captions, one data set or several; the test split where there is one.
        answers: captions to judge instead of a model's: a .jsonl file with a line {"key": ..., "text": ...} for each.
        train: pictures with captions from which the baseline's one caption is taken; without it, it is taken from
            the pictures judged, which favours the baseline.
        scorer: a model that knows pictures and words, for CLIPScore.
        options: of every evaluation.

    Raises:
        InputError: neither models nor answers came, or both did; no data set has two pictures with captions; the
            scorer reads no text; or an option is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    plan = Plan(**options)
    captioners = writers(models, answers, WrittenCaptions, "captions")
    usual = None if train is None else _Usual(most_typical(told_captions(train).captions), train.name)
    sets = [_Set(source, usual, None if scorer is None else plan.remembered(scorer), plan) for source in data]

    def judge(model: Captioner, one: _Set) -> list[CaptionsResult]:
        judged_by = one.judge
        made = model.caption(those(one.source, one.told.captions))
        scores, judged = judged_by(made.texts)
        named = _named(one.source, made.texts)
        return [
            CaptionsResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=one.source.name,
                scorer=None if scorer is None else scorer.name,
                scores=scores,
                baseline=one.baseline,
                baseline_caption=one.usual.caption,
                baseline_from=one.usual.source,
                named_right=_share(named, plan.bootstrap, plan.seed),
                num_named=int(named[:, 1].sum()),
                num_pictures=len(judged_by.keys),
                num_missing=sum(key not in made.texts for key in judged_by.keys),
                judged=judged,
                skipped=one.told.skipped | dict(made.skipped),
            )
        ]

    found = grid(Evaluation[CaptionsResult], "captions", captioners, sets, lambda one: one.source.name, judge)
    return plan.finished(found, lambda pages: pages.captions)


@dataclass(frozen=True, slots=True)
class _Usual:
    """The one caption that the baseline gives to every picture, and the source that it was taken from."""

    caption: str
    source: str


class _Set:
    """A data set; what is the same for all models is found out once, when it is first asked for.

    Args:
        source: pictures with captions.
        usual: the baseline's caption; None to take it from the source.
        scorer: for CLIPScore; None without.
        plan: how often and from where to resample.
    """

    def __init__(self, source: Source, usual: _Usual | None, scorer: Encoder | None, plan: Plan) -> None:
        self.source = source
        self._usual = usual
        self._scorer = scorer
        self._plan = plan

    @cached_property
    def told(self) -> Told:
        """What people wrote.

        Raises:
            InputError: fewer than two pictures have captions.
            TooManyBrokenError: more of the pictures are broken than is tolerated.
        """
        told = told_captions(self.source)
        if len(told.captions) < 2:
            raise InputError(
                "at least two pictures with captions",
                f"{self.source.name} has one",
                "add pictures: what is rare is told among them",
            )
        return told

    @cached_property
    def usual(self) -> _Usual:
        """The baseline's caption."""
        return self._usual or _Usual(most_typical(self.told.captions), self.source.name)

    @cached_property
    def judge(self) -> CaptionJudge:
        """Judges captions by what people wrote.

        Raises:
            InputError: as for `told`, or the scorer reads no text.
            TooManyBrokenError: more of the pictures are broken than is tolerated.
        """
        captions = self.told.captions
        scorer = None if self._scorer is None else PictureScorer(self._scorer, those(self.source, captions))
        return CaptionJudge(captions, scorer, self._plan.bootstrap, self._plan.seed)

    @cached_property
    def baseline(self) -> CaptionScores:
        """Scores of the baseline."""
        return self.judge(dict.fromkeys(self.judge.keys, self.usual.caption))[0]


def _named(data: Source, texts: Mapping[str, str]) -> Int[np.ndarray, "B 2"]:
    """For each caption that names objects, how many of them are there, and how many it names."""
    if not isinstance(data, Knowing):
        return np.zeros((0, 2), int)
    places = {data.key(index): index for index in range(len(data))}
    checked = [data.check(places[key], text) for key, text in texts.items()]
    return np.array([(sum(one), len(one)) for one in checked if one], int).reshape(-1, 2)


def _share(counts: Int[np.ndarray, "B 2"], num_draws: int, seed: int) -> Estimate | None:
    if not len(counts):
        return None
    return bootstrap_of_sums(counts, lambda drawn: drawn[:, 0] / drawn[:, 1], num_draws, seed)
