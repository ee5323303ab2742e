"""Names under which tables, shards and saved data sets keep labels and texts, and how values become these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chiasm.core.example import QuestionAnswer
from chiasm.data.sources._splits import first_of

# In the order of preference where there are several.
LABEL_NAMES = ("label", "cls", "class", "class_name", "category", "target")
CAPTION_NAMES = ("captions", "caption", "text", "sentences", "sentence", "description")
QUESTION_NAMES = ("question",)
ANSWER_NAMES = ("answers", "answer")
KIND_NAMES = ("kind", "question_type", "answer_type")
# Several questions about one picture, each with its answers under the names above.
QUESTIONS_NAMES = ("questions",)


def text_columns(names: Iterable[str]) -> list[str]:
    """Those among the names of columns that hold captions, questions and answers."""
    available = tuple(names)
    wanted = (CAPTION_NAMES, QUESTION_NAMES, ANSWER_NAMES, KIND_NAMES, QUESTIONS_NAMES)
    return [column for each in wanted if (column := first_of(each, available)) is not None]


def captions_among(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The captions that the fields of one example hold."""
    return captions_in(_first(fields, CAPTION_NAMES))


def questions_among(fields: Mapping[str, Any]) -> tuple[QuestionAnswer, ...]:
    """The questions that the fields of one example hold: one of its own, and those of a list of records."""
    listed = _first(fields, QUESTIONS_NAMES)
    records = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    asked = [[_first(one, names) for names in (QUESTION_NAMES, ANSWER_NAMES, KIND_NAMES)] for one in (fields, *records)]
    return tuple(answered for parts in asked for answered in questions_in(*parts))


def captions_in(value: Any) -> tuple[str, ...]:
    """The captions that one value holds: a text or a list of texts; blank ones and whatever is no text are left out."""
    return tuple(text.strip() for text in _listed(value) if isinstance(text, str) and text.strip())


def questions_in(question: Any, answers: Any, kind: Any) -> tuple[QuestionAnswer, ...]:
    """A question with each of the answers that one value holds, a text or a list of texts; none without both.

    Args:
        question: what is asked.
        answers: of one person or of several; each a text, or a record with an answer (VQA).
        kind: what is asked about, if anybody says.
    """
    asked, what = captions_in(question), captions_in(kind) or ("",)
    given = [_first(one, ANSWER_NAMES) if isinstance(one, Mapping) else one for one in _listed(answers)]
    return tuple(QuestionAnswer(what[0], asked[0], answer) for answer in captions_in(given) if asked)


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    found = first_of(names, fields)
    return None if found is None else fields[found]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
