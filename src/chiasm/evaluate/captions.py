"""Captions: how well a model's captions, or those in a file, agree with what people wrote about the same pictures.

BLEU-1 to BLEU-4 over all captions, CIDEr-D per picture, and, with a model that knows pictures and words, CLIPScore and
RefCLIPScore. The same is told of one caption given to every picture: what comes close to it says nothing.

Paper: Papineni et al., 2002 (BLEU); Vedantam et al., 2015, arXiv 1411.5726 (CIDEr-D); Hessel et al., 2021, arXiv
    2104.08718 (CLIPScore). How words are told apart: `chiasm.ops.words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Knowing, Source
from chiasm.core.predictors import Captioner, Encoder, Record
from chiasm.data.written import WrittenCaptions
from chiasm.evaluate._caption_scores import (
    CaptionJudge,
    CaptionScores,
    JudgedCaption,
    PictureScorer,
    most_typical,
    those,
)
from chiasm.evaluate._options import check_draws
from chiasm.evaluate._told import told_captions
from chiasm.ops.bootstrap import bootstrap_of_sums


class CaptionsResult(Record):
    """What `captions` found.

    Attributes:
        model: what made the captions.
        fingerprint: of it.
        data: source of the pictures.
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
        skipped: pictures that could not be read, and why.
    """

    model: str
    fingerprint: str
    data: str
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
    skipped: dict[str, str]


def captions(
    model: Captioner | None = None,
    *,
    data: Source,
    answers: Path | None = None,
    train: Source | None = None,
    scorer: Encoder | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> CaptionsResult:
    """Judge captions of pictures by what people wrote about them.

    Args:
        model: what captions pictures.
        data: pictures with captions.
        answers: captions to judge instead of a model's: a .jsonl file with a line {"key": ..., "text": ...} for each.
        train: pictures with captions from which the baseline's one caption is taken; without it, it is taken from
            `data` itself, which favours the baseline.
        scorer: a model that knows pictures and words, for CLIPScore.
        bootstrap: resampled sets of pictures behind the intervals.
        seed: of the resampling.

    Raises:
        InputError: neither a model nor answers came, or both did; fewer than two pictures have captions; the scorer
            reads no text; or an option is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_draws(bootstrap)
    captioner = _captioner(model, answers)
    told = told_captions(data)
    if len(told.captions) < 2:
        raise InputError(
            "at least two pictures with captions",
            f"{data.name} has one",
            "add pictures: what is rare is told among them",
        )
    constant = most_typical(told.captions if train is None else told_captions(train).captions)
    source = those(data, told.captions)
    made = captioner.caption(source)
    judge = CaptionJudge(told.captions, None if scorer is None else PictureScorer(scorer, source), bootstrap, seed)
    scores, judged = judge(made.texts)
    named = _named(data, made.texts)
    return CaptionsResult(
        model=captioner.name,
        fingerprint=captioner.fingerprint,
        data=data.name,
        scorer=None if scorer is None else scorer.name,
        scores=scores,
        baseline=judge(dict.fromkeys(judge.keys, constant))[0],
        baseline_caption=constant,
        baseline_from=data.name if train is None else train.name,
        named_right=_share(named, bootstrap, seed),
        num_named=int(named[:, 1].sum()),
        num_pictures=len(judge.keys),
        num_missing=sum(key not in made.texts for key in judge.keys),
        judged=judged,
        skipped=told.skipped | dict(made.skipped),
    )


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


def _captioner(model: Captioner | None, answers: Path | None) -> Captioner:
    """What makes the captions.

    Raises:
        InputError: there are two of them, or none.
    """
    if model is not None and answers is None:
        return model
    if answers is not None and model is None:
        return WrittenCaptions(answers)
    came = "none came" if model is None else "both came"
    raise InputError("a model or --answers", came, "give the one whose captions are to be judged")
