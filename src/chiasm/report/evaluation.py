"""Evaluations as pages: the table of all results, then what is behind each of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
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
from chiasm.report._readable import by_data, readable
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
        self._page(*readable(evaluation)).write(out)

    def classification(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, then calibration, confusion matrices and classes on each data set.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        shown, names = readable(evaluation)
        results: Sequence[Judgement] = shown.results
        page = self._page(shown, names, [_accuracies(results)])
        page.add(*(_judged(data, own) for data, own in by_data(results))).write(out)

    def curves(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table and one plot of curves over shots for each data set.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        shown, names = readable(evaluation)
        results: Sequence[FewShotResult] = shown.results
        self._page(shown, names, [_curves(data, own) for data, own in by_data(results)]).write(out)

    def contests(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table and, for each contest, what differs by class.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        shown, names = readable(evaluation)
        results: Sequence[Contest] = shown.results
        self._page(shown, names).add(*map(_contest, results)).write(out)

    def captions(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, CIDEr-D beside the baseline's, and the worst and best captions of each result.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        shown, names = readable(evaluation)
        results: Sequence[CaptionsResult] = shown.results
        sections = [captioned(one).add(*_skipped(one.skipped)) for one in results]
        self._page(shown, names, caption_bars(results)).add(*sections).write(out)

    def questions(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, accuracies beside the baseline's, and kinds and wrong answers of each result.

        Raises:
            InputError: the place cannot be written.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        shown, names = readable(evaluation)
        results: Sequence[VqaResult] = shown.results
        sections = [answered(one).add(*_skipped(one.skipped)) for one in results]
        self._page(shown, names, answer_bars(results)).add(*sections).write(out)

    def _page(
        self, evaluation: Evaluation, names: Sequence[tuple[str, str]], drawings: Sequence[blocks.Block] = ()
    ) -> Page:
        """A page that begins with the table and the gaps in it, and tells what short names stand for."""
        models = list(dict.fromkeys(one.model for one in evaluation.results))
        page = Page(
            title=f"Evaluation: {evaluation.evaluation}",
            subtitle=", ".join(models),
            made=self.made,
            versions=[("chiasm", __version__), ("Python", platform.python_version())],
        )
        overview = Section("Results", "Intervals hold 95 %. A dash stands for what was not or cannot be measured.")
        overview.add(_table(evaluation.table()), *drawings)
        if names:
            overview.add(blocks.Details("Names in full", [blocks.Facts(names)]))
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
        return f"{written(value.value)}\n{written(value.low)} to {written(value.high)}"
    return written(value) if isinstance(value, float) else formats.text(value)


def _accuracies(results: Sequence[Judgement]) -> blocks.Block:
    """Top-1 accuracies as bars, one for each result, in a colour for each model."""
    models = list(dict.fromkeys(one.model for one in results))
    items = [
        Bar(f"{one.model} on {one.data}", 100 * found.value, (100 * found.low, 100 * found.high), colour)
        for one in results
        for found, colour in ((one.scores.accuracy, palette.SERIES[models.index(one.model) % len(palette.SERIES)]),)
    ]
    return bars(items, "top-1 accuracy, %")


def _judged(data: str, results: Sequence[Judgement]) -> Section:
    """What is behind the results of all models on one data set, the models side by side."""
    section = Section(data).add(blocks.Columns([_reliability(one) for one in results]))
    if all(len(one.scores.per_class) <= _MOST_CLASSES_DRAWN for one in results):
        section.add(blocks.Columns([_confusion(one) for one in results]))
    section.add(blocks.Columns([_mistakes(one) for one in results]))
    for one in results:
        section.add(_classes(one), *_skipped(one.skipped))
    return section


def _reliability(result: Judgement) -> blocks.Block:
    bins, error = result.scores.reliability, result.scores.calibration_error
    return reliability(
        np.array([one.confidence for one in bins]),
        np.array([one.accuracy for one in bins]),
        np.array([one.count for one in bins]),
        title=f"Can the probabilities of {result.model} be believed?",
        caption=f"Expected calibration error {error:.3f}. Points below the diagonal: too sure.",
    )


def _confusion(result: Judgement) -> blocks.Block:
    classes = list(result.scores.per_class)
    return confusion(_matrix(result.scores, classes), classes, title=f"Confusion matrix of {result.model}")


def _matrix(scores: Scores, classes: Sequence[str]) -> np.ndarray:
    place = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for one in scores.confusion:
        counts[place[one.true], place[one.answered]] = one.count
    return counts


def _mistakes(result: Judgement) -> blocks.Block:
    scores = result.scores
    wrong = sorted((one for one in scores.confusion if one.true != one.answered), key=lambda one: -one.count)
    return blocks.Table(
        [blocks.Column("true"), blocks.Column("answered"), blocks.Column("pictures", "right")],
        [(one.true, one.answered, one.count) for one in wrong[:_SHOWN_MISTAKES]],
        caption=f"Most frequent mistakes of {result.model}; there are {len(wrong)} kinds.",
    )


def _classes(result: Judgement) -> blocks.Block:
    written: Callable[[Any], str] = formats.number(_DECIMALS)
    columns = [blocks.Column("class")]
    columns += [blocks.Column(name, "right", written) for name in ("precision", "recall", "F1", "average precision")]
    columns += [blocks.Column("pictures", "right")]
    rows = [
        (name, one.precision, one.recall, one.f1, one.average_precision, one.support)
        for name, one in result.scores.per_class.items()
    ]
    return blocks.Details(f"All {len(rows)} classes, as {result.model} told them", [blocks.Table(columns, rows)])


def _skipped(skipped: dict[str, str]) -> list[blocks.Block]:
    if not skipped:
        return []
    return [blocks.Details(f"{len(skipped)} pictures left out", [blocks.Facts(list(skipped.items()))])]


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
