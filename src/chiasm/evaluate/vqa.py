"""Questions: how many a model, or a file of answers, answers right, by the kind of question.

An answer is right when it is the same as that of a person after both were brought to a plain form; where several people
answered, as far as they agree with it. Beside each score stands that of one answer to every question of the kind.

Paper: Antol et al., 2015, "VQA: Visual Question Answering" (arXiv 1505.00468), section 3. The plain form:
    `chiasm.ops.words`; several people: `chiasm.ops.agreement`.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Source
from chiasm.core.predictors import Answerer, Record
from chiasm.data.prompts import ClassNames
from chiasm.data.written import WrittenAnswers
from chiasm.evaluate._answer_scores import AnswerJudge, JudgedAnswer, KindScore, asked_of, most_frequent
from chiasm.evaluate._options import check_draws
from chiasm.evaluate._told import told_questions


class VqaResult(Record):
    """What `vqa` found.

    Attributes:
        model: what gave the answers.
        fingerprint: of it.
        data: source of the pictures.
        num_choices: answers that there were to choose from; 0 where it answered freely.
        accuracy: share of right answers to all questions, with its interval over pictures.
        baseline: the same for the most frequent answer to each kind of question.
        baseline_from: the source whose answers were counted for that.
        mean_over_kinds: mean of the accuracies of the kinds, so that what a kind counts does not depend on how often
            it is asked.
        num_questions: questions judged.
        num_pictures: pictures that they are about.
        num_missing: questions for which no answer came; they count as wrong.
        kinds: accuracy by kind of question.
        judged: one for each question, the wrong ones first.
        skipped: pictures that could not be read, and why.
    """

    model: str
    fingerprint: str
    data: str
    num_choices: int
    accuracy: Estimate
    baseline: Estimate
    baseline_from: str
    mean_over_kinds: float
    num_questions: int
    num_pictures: int
    num_missing: int
    kinds: tuple[KindScore, ...]
    judged: tuple[JudgedAnswer, ...]
    skipped: dict[str, str]


def vqa(
    model: Answerer | None = None,
    *,
    data: Source,
    answers: Path | None = None,
    questions: Path | None = None,
    choices: ClassNames | None = None,
    train: Source | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> VqaResult:
    """Judge answers to questions about pictures.

    Args:
        model: what answers questions.
        data: pictures, with questions unless they lie in a file.
        answers: answers to judge instead of a model's: a .jsonl file with a line {"key": ..., "question": ...,
            "text": ...} for each.
        questions: a .jsonl file of questions, with a line {"key": ..., "question": ..., "answers": [...], "kind": ...}
            for each; without it those of `data`.
        choices: answers that the model is to choose from: a file with one per line, or `yes,no`.
        train: pictures with questions among which the most frequent answers are looked up for the baseline; without it
            that is done among the questions judged, which favours the baseline.
        bootstrap: resampled sets of pictures behind the intervals.
        seed: of the resampling.

    Raises:
        InputError: neither a model nor answers came, or both did; there are no questions; or an option is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_draws(bootstrap)
    answerer = _answerer(model, answers)
    told = told_questions(data, questions)
    asked = asked_of(told.questions)
    usual = most_frequent(asked if train is None else asked_of(told_questions(train, None).questions))
    by_picture: dict[str, list[str]] = defaultdict(list)
    for one in asked:
        by_picture[one.key].append(one.question)
    made = answerer.answer(data, by_picture, choices or ())
    unread = dict(made.skipped)
    asked = [one for one in asked if one.key not in unread]
    if not asked:
        raise InputError("questions about readable pictures", "none can be read", "check the pictures")
    judge = AnswerJudge(asked, bootstrap, seed)
    texts = [made.texts.get((one.key, one.question), "") for one in asked]
    right, constant = judge.right(texts), judge.right([usual.get(one.kind, "") for one in asked])
    kinds = judge.by_kind(right, constant, usual)
    return VqaResult(
        model=answerer.name,
        fingerprint=answerer.fingerprint,
        data=data.name,
        num_choices=len(choices or ()),
        accuracy=judge.share(right),
        baseline=judge.share(constant),
        baseline_from=data.name if train is None else train.name,
        mean_over_kinds=float(np.mean([one.accuracy.value for one in kinds])),
        num_questions=len(asked),
        num_pictures=len({one.key for one in asked}),
        num_missing=sum((one.key, one.question) not in made.texts for one in asked),
        kinds=kinds,
        judged=judge.judged(texts, right),
        skipped=told.skipped | unread,
    )


def _answerer(model: Answerer | None, answers: Path | None) -> Answerer:
    """What gives the answers.

    Raises:
        InputError: there are two of them, or none.
    """
    if model is not None and answers is None:
        return model
    if answers is not None and model is None:
        return WrittenAnswers(answers)
    came = "none came" if model is None else "both came"
    raise InputError("a model or --answers", came, "give the one whose answers are to be judged")
