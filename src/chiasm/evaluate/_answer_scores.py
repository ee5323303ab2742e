"""How right answers to questions are: what `vqa` asks of a model's answers and of the baseline's alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from chiasm.core.estimates import Estimate
from chiasm.core.example import QuestionAnswer
from chiasm.core.predictors import Record
from chiasm.ops.agreement import soft_accuracy
from chiasm.ops.bootstrap import bootstrap_of_sums
from chiasm.ops.words import plain_answer


class KindScore(Record):
    """How well the questions of one kind were answered.

    Attributes:
        kind: what is asked; empty where nothing says.
        accuracy: share of right answers, with its interval over pictures.
        baseline: the same for one answer to every question of the kind.
        baseline_answer: that answer: the most frequent one; empty where it was looked up among other kinds only.
        num_questions: of this kind.
    """

    kind: str
    accuracy: Estimate
    baseline: float
    baseline_answer: str
    num_questions: int


class JudgedAnswer(Record):
    """One answer.

    Attributes:
        key: of the picture.
        kind: of the question.
        question: about it.
        text: the answer; empty where none came.
        expected: what people answered, each once, the most frequent first.
        accuracy: of the answer, 0 to 1.
    """

    key: str
    kind: str
    question: str
    text: str
    expected: tuple[str, ...]
    accuracy: float


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about one picture.

    Attributes:
        key: of the picture.
        kind: of the question.
        question: about it.
        answers: of people, one for each of them, as they wrote them.
    """

    key: str
    kind: str
    question: str
    answers: tuple[str, ...]


def asked_of(questions: Mapping[str, Sequence[QuestionAnswer]]) -> tuple[Asked, ...]:
    """Every question once, with the answers of all who were asked it."""
    answers: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key, several in questions.items():
        for one in several:
            answers[key, one.kind, one.question].append(one.answer)
    return tuple(Asked(*question, tuple(given)) for question, given in answers.items())


def most_frequent(asked: Sequence[Asked]) -> dict[str, str]:
    """The answer that was given most often to each kind of question, in its plain form."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in asked:
        counts[one.kind].update(map(plain_answer, one.answers))
    return {kind: answers.most_common(1)[0][0] for kind, answers in counts.items()}


class AnswerJudge:
    """Judges answers to a set of questions.

    Args:
        asked: the questions, at least one.
        num_draws: resampled sets of pictures behind the intervals.
        seed: of the resampling.
    """

    def __init__(self, asked: Sequence[Asked], num_draws: int, seed: int) -> None:
        self.asked = asked
        self.kinds = np.array([one.kind for one in asked], dtype=np.str_)
        self._plain = [[plain_answer(answer) for answer in one.answers] for one in asked]
        self._pictures = np.unique([one.key for one in asked], return_inverse=True)[1]
        self._num_draws = num_draws
        self._seed = seed

    def right(self, texts: Sequence[str]) -> Float[np.ndarray, " B"]:
        """How right each answer is, 0 to 1; no answer is never right."""
        pairs = zip(map(plain_answer, texts), self._plain, strict=True)
        return np.array([soft_accuracy(text, given) if text else 0.0 for text, given in pairs], dtype=np.float64)

    def share(self, right: Float[np.ndarray, " B"], kind: str | None = None) -> Estimate:
        """Share of right answers to all questions, or to those of one kind; those of a picture are drawn together."""
        members = np.ones(len(right), dtype=bool) if kind is None else self.kinds == kind
        pictures = np.unique(self._pictures[members], return_inverse=True)[1]
        sums = np.stack([np.bincount(pictures, right[members]), np.bincount(pictures)], axis=1)
        return bootstrap_of_sums(sums, lambda drawn: drawn[:, 0] / drawn[:, 1], self._num_draws, self._seed)

    def by_kind(
        self, right: Float[np.ndarray, " B"], constant: Float[np.ndarray, " B"], usual: Mapping[str, str]
    ) -> tuple[KindScore, ...]:
        """Scores of each kind of question.

        Args:
            right: how right each answer is.
            constant: the same of the baseline's.
            usual: the baseline's answer to each kind.
        """
        return tuple(
            KindScore(
                kind=kind,
                accuracy=self.share(right, kind),
                baseline=float(constant[self.kinds == kind].mean()),
                baseline_answer=usual.get(kind, ""),
                num_questions=int((self.kinds == kind).sum()),
            )
            for kind in np.unique(self.kinds).tolist()
        )

    def judged(self, texts: Sequence[str], right: Float[np.ndarray, " B"]) -> tuple[JudgedAnswer, ...]:
        """Every answer, the wrong ones first."""
        return tuple(
            JudgedAnswer(
                key=self.asked[row].key,
                kind=self.asked[row].kind,
                question=self.asked[row].question,
                text=texts[row],
                expected=tuple(answer for answer, _ in Counter(self.asked[row].answers).most_common()),
                accuracy=float(right[row]),
            )
            for row in map(int, np.argsort(right, kind="stable"))
        )
