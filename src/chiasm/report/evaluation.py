"""Evaluations as pages: the table of all results, then what is behind each of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.core.estimates import Estimate
from chiasm.core.tables import Table, Value
from chiasm.core.version import __version__
from chiasm.evaluate import Evaluation, Judgement, Scores
from chiasm.evaluate.captions import CaptionsResult
from chiasm.evaluate.compare import Contest
from chiasm.evaluate.few_shot import FewShotResult
from chiasm.evaluate.vqa import VqaResult
from chiasm.report import blocks, formats, palette
from chiasm.report._written import answer_bars, answered, caption_bars, captioned
from chiasm.report.page import Page, Section
from chiasm.report.plots import Bar, Series, bars, confusion, curves, reliability

_DECIMALS = 3
_SHOWN_MISTAKES = 20
_MOST_CLASSES_DRAWN = 200


@dataclass(frozen=True, slots=True)
class EvaluationPages:
    """Implements `chiasm.evaluate.Pages`.

    Attributes:
        made: when, as it shall be printed.
    """

    made: str

    def plain(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        self._page(evaluation).write(out)

    def classification(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, then calibration, confusion matrix and classes of each result.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        results: Sequence[Judgement] = evaluation.results
        page = self._page(evaluation, [_accuracies(results)])
        page.add(*(_judged(one) for one in results)).write(out)

    def curves(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table and one plot of curves over shots for each data set.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        results: Sequence[FewShotResult] = evaluation.results
        names = dict.fromkeys(one.data for one in results)
        self._page(evaluation, [_curves(name, [one for one in results if one.data == name]) for name in names]).write(
            out
        )

    def contests(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table and, for each contest, what differs by class.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        results: Sequence[Contest] = evaluation.results
        self._page(evaluation).add(*map(_contest, results)).write(out)

    def captions(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, CIDEr-D beside the baseline's, and the worst and best captions of each result.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        results: Sequence[CaptionsResult] = evaluation.results
        sections = [captioned(one).add(*_skipped(one.skipped)) for one in results]
        self._page(evaluation, caption_bars(results)).add(*sections).write(out)

    def questions(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, accuracies beside the baseline's, and kinds and wrong answers of each result.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        results: Sequence[VqaResult] = evaluation.results
        sections = [answered(one).add(*_skipped(one.skipped)) for one in results]
        self._page(evaluation, answer_bars(results)).add(*sections).write(out)

    def _page(self, evaluation: Evaluation, drawings: Sequence[blocks.Block] = ()) -> Page:
        """A page that begins with the table and the gaps in it."""
        models = list(dict.fromkeys(one.model for one in evaluation.results))
        page = Page(
            title=f"Evaluation: {evaluation.evaluation}",
            subtitle=", ".join(models),
            made=self.made,
            versions=[("chiasm", __version__), ("Python", platform.python_version())],
        )
        overview = Section("Results", "Intervals hold 95 %. A dash stands for what was not or cannot be measured.")
        overview.add(_table(evaluation.table()), *drawings)
        return page.add(overview)


def _table(table: Table) -> blocks.Table:
    """A table of figures as a block; numbers stand on the right."""
    columns = []
    for name in table.columns:
        values = [value for value in table.column(name) if value is not None]
        is_number = bool(values) and not any(isinstance(value, str) for value in values)
        columns.append(blocks.Column(name, "right" if is_number else "left", _cell))
    return blocks.Table(columns, table.rows)


def _cell(value: Value) -> str:
    written = formats.number(_DECIMALS)
    if isinstance(value, Estimate):
        return f"{written(value.value)} ({written(value.low)} to {written(value.high)})"
    return written(value) if isinstance(value, float) else formats.text(value)


def _accuracies(results: Iterable[Judgement]) -> blocks.Block:
    """Top-1 accuracies as bars, one for each result."""
    items = [
        Bar(f"{one.model} on {one.data}", 100 * found.value, (100 * found.low, 100 * found.high), palette.SERIES[0])
        for one in results
        for found in (one.scores.accuracy,)
    ]
    return bars(items, "top-1 accuracy, %")


def _judged(result: Judgement) -> Section:
    """What is behind one result."""
    scores = result.scores
    section = Section(f"{result.model} on {result.data}")
    section.add(_reliability(scores))
    classes = list(scores.per_class)
    if len(classes) <= _MOST_CLASSES_DRAWN:
        section.add(confusion(_matrix(scores, classes), classes, title="Confusion matrix"))
    section.add(_mistakes(scores), _classes(scores), *_skipped(result.skipped))
    return section


def _reliability(scores: Scores) -> blocks.Block:
    bins = scores.reliability
    return reliability(
        np.array([one.confidence for one in bins]),
        np.array([one.accuracy for one in bins]),
        np.array([one.count for one in bins]),
        title="Can its probabilities be believed?",
        caption=f"Expected calibration error {scores.calibration_error:.3f}. Points below the diagonal: too sure.",
    )


def _matrix(scores: Scores, classes: Sequence[str]) -> np.ndarray:
    place = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for one in scores.confusion:
        counts[place[one.true], place[one.answered]] = one.count
    return counts


def _mistakes(scores: Scores) -> blocks.Block:
    wrong = sorted((one for one in scores.confusion if one.true != one.answered), key=lambda one: -one.count)
    return blocks.Table(
        [blocks.Column("true"), blocks.Column("answered"), blocks.Column("pictures", "right")],
        [(one.true, one.answered, one.count) for one in wrong[:_SHOWN_MISTAKES]],
        caption=f"Most frequent mistakes; there are {len(wrong)} kinds.",
    )


def _classes(scores: Scores) -> blocks.Block:
    written: Callable[[Any], str] = formats.number(_DECIMALS)
    columns = [blocks.Column("class")]
    columns += [blocks.Column(name, "right", written) for name in ("precision", "recall", "F1", "average precision")]
    columns += [blocks.Column("pictures", "right")]
    rows = [
        (name, one.precision, one.recall, one.f1, one.average_precision, one.support)
        for name, one in scores.per_class.items()
    ]
    return blocks.Details(f"All {len(rows)} classes", [blocks.Table(columns, rows)])


def _skipped(skipped: dict[str, str]) -> list[blocks.Block]:
    if not skipped:
        return []
    return [blocks.Details(f"{len(skipped)} pictures could not be read", [blocks.Facts(list(skipped.items()))])]


def _curves(data: str, results: Sequence[FewShotResult]) -> blocks.Block:
    """Accuracy over shots on one data set, a curve for each model."""
    series = []
    for model in dict.fromkeys(one.model for one in results):
        own = [one for one in results if one.model == model]
        value, low, high = (
            np.array([100 * getattr(one.accuracy, end) for one in own]) for end in ("value", "low", "high")
        )
        series.append(Series(model, np.array([one.shots for one in own]), value, low, high))
    return curves(series, "pictures of each class", "top-1 accuracy, %", x_scale="log", title=data)


def _contest(contest: Contest) -> Section:
    """One comparison, class by class."""
    verdict = f"{contest.better} is better." if contest.better else "The difference may be noise."
    written = formats.number(_DECIMALS)
    columns = [blocks.Column("class")]
    columns += [blocks.Column(name, "right", written) for name in (contest.model, contest.baseline, "difference", "p")]
    columns += [blocks.Column("pictures", "right")]
    rows = [
        (name, one.model, one.baseline, one.difference, one.p_value, one.support)
        for name, one in contest.per_class.items()
    ]
    return Section(
        f"{contest.data}, by {contest.by}",
        f"{verdict} {contest.num_only_model} of {contest.num_test} pictures were answered right by {contest.model} "
        f"alone, {contest.num_only_baseline} by {contest.baseline} alone (p = {contest.p_value:.3g}).",
    ).add(blocks.Table(columns, rows, caption="Share of each class answered right; p as for so many classes at once."))
