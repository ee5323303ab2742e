"""Questions: how many a model, or a file of answers, answers right, by the kind of question.

An answer is right when it is the same as that of a person after both were brought to a plain form; where several people
answered, as far as they agree with it. Beside each score stands that of one answer to every question of the kind.

Paper: Antol et al., 2015, "VQA: Visual Question Answering" (arXiv 1505.00468), section 3. The plain form:
    `chiasm.ops.words`; several people: `chiasm.ops.agreement`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Judged, Source
from chiasm.core.predictors import Answerer
from chiasm.core.tables import Value
from chiasm.data.prompts import ClassNames
from chiasm.data.written import WrittenAnswers
from chiasm.evaluate._answer import Evaluation, Result
from chiasm.evaluate._answer_scores import AnswerJudge, Asked, JudgedAnswer, KindScore, asked_of, most_frequent
from chiasm.evaluate._grid import grid
from chiasm.evaluate._options import Options, Plan
from chiasm.evaluate._told import Told, told_questions
from chiasm.evaluate._writers import writers


class VqaResult(Result):
    """What `vqa` found.

    Attributes:
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
    """

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

    def figures(self) -> Mapping[str, Value]:
        return {
            "questions": self.num_questions,
            "pictures": self.num_pictures,
            "missing": self.num_missing,
            "choices": self.num_choices or None,
            "accuracy": self.accuracy,
            "mean over kinds": self.mean_over_kinds,
            "baseline accuracy": self.baseline,
        }


def vqa(
    models: Sequence[Answerer] = (),
    *,
    data: Sequence[Judged],
    answers: Path | None = None,
    questions: Path | None = None,
    choices: ClassNames | None = None,
    train: Source | None = None,
    **options: Unpack[Options],
) -> Evaluation[VqaResult]:
    """Judge answers to questions about pictures.

    Args:
        models: what answers questions, one or several.
        data: pictures, with questions unless they lie in a file, one data set or several; the test split where there is
            one.
        answers: answers to judge instead of a model's: a .jsonl file with a line {"key": ..., "question": ...,
            "text": ...} for each.
        questions: a .jsonl file of questions, with a line {"key": ..., "question": ..., "answers": [...], "kind": ...}
            for each; without it those of `data`.
        choices: answers that the model is to choose from: a file with one per line, or `yes,no`.
        train: pictures with questions among which the most frequent answers are looked up for the baseline; without it
            that is done among the questions judged, which favours the baseline.
        options: of every evaluation.

    Raises:
        InputError: neither models nor answers came, or both did; no data set has questions; or an option is out of
            range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    plan = Plan(**options)
    answerers = writers(models, answers, WrittenAnswers, "answers")
    usual = None if train is None else most_frequent(asked_of(told_questions(train, None).questions))
    sets = [_Set(source, questions) for source in data]

    def judge(model: Answerer, one: _Set) -> list[VqaResult]:
        made = model.answer(one.source, one.by_picture, choices or ())
        unread = dict(made.skipped)
        asked = [each for each in one.asked if each.key not in unread]
        if not asked:
            raise InputError("questions about readable pictures", "none can be read", "check the pictures")
        judged_by = AnswerJudge(asked, plan.bootstrap, plan.seed)
        texts = [made.texts.get((each.key, each.question), "") for each in asked]
        known = one.usual if usual is None else usual
        right, constant = judged_by.right(texts), judged_by.right([known.get(each.kind, "") for each in asked])
        kinds = judged_by.by_kind(right, constant, known)
        return [
            VqaResult(
                model=model.name,
                fingerprint=model.fingerprint,
                data=one.source.name,
                num_choices=len(choices or ()),
                accuracy=judged_by.share(right),
                baseline=judged_by.share(constant),
                baseline_from=one.source.name if train is None else train.name,
                mean_over_kinds=float(np.mean([kind.accuracy.value for kind in kinds])),
                num_questions=len(asked),
                num_pictures=len({each.key for each in asked}),
                num_missing=sum((each.key, each.question) not in made.texts for each in asked),
                kinds=kinds,
                judged=judged_by.judged(texts, right),
                skipped=one.told.skipped | unread,
            )
        ]

    found = grid(Evaluation[VqaResult], "vqa", answerers, sets, lambda one: one.source.name, judge)
    return plan.finished(found, lambda pages: pages.questions)


class _Set:
    """A data set; what is asked about it is read once, when it is first needed.

    Args:
        source: the pictures.
        file: of questions about them; None where the source has them.
    """

    def __init__(self, source: Source, file: Path | None) -> None:
        self.source = source
        self._file = file

    @cached_property
    def told(self) -> Told:
        """What is asked, as it stands there.

        Raises:
            InputError: there are no questions, or the file cannot be read.
            TooManyBrokenError: more of the pictures are broken than is tolerated.
        """
        return told_questions(self.source, self._file)

    @cached_property
    def asked(self) -> tuple[Asked, ...]:
        """Every question once."""
        return asked_of(self.told.questions)

    @cached_property
    def usual(self) -> Mapping[str, str]:
        """The most frequent answer to each kind of question."""
        return most_frequent(self.asked)

    @cached_property
    def by_picture(self) -> Mapping[str, Sequence[str]]:
        """The questions about each picture, by its key."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.asked:
            found[one.key].append(one.question)
        return found
