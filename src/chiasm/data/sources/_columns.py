"""Names under which tables, shards and saved data sets keep labels and texts, and how values become these."""

from __future__ import annotations

from typing import Any

from chiasm.core.example import QuestionAnswer

# In the order of preference where there are several.
LABEL_NAMES = ("label", "cls", "class", "class_name", "category", "target")
CAPTION_NAMES = ("captions", "caption", "text", "sentences", "sentence", "description")
QUESTION_NAMES = ("question",)
ANSWER_NAMES = ("answers", "answer")
KIND_NAMES = ("kind", "question_type", "answer_type")


def captions_in(value: Any) -> tuple[str, ...]:
    """The captions that one value holds: a text or a list of texts; blank ones and whatever is no text are left out."""
    values = value if isinstance(value, list) else [value]
    return tuple(text.strip() for text in values if isinstance(text, str) and text.strip())


def questions_in(question: Any, answers: Any, kind: Any) -> tuple[QuestionAnswer, ...]:
    """A question with each of the answers that one value holds, a text or a list of texts; none without both.

    Args:
        question: what is asked.
        answers: of one person or of several.
        kind: what is asked about, if anybody says.
    """
    asked, what = captions_in(question), captions_in(kind) or ("",)
    return tuple(QuestionAnswer(what[0], asked[0], answer) for answer in captions_in(answers) if asked)
