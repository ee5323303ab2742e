"""What is behind results about captions and answers: how they compare with the baseline, and the texts themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chiasm.core.estimates import Estimate
from chiasm.evaluate.captions import CaptionsResult, JudgedCaption
from chiasm.evaluate.vqa import JudgedAnswer, VqaResult
from chiasm.report import blocks, formats, palette
from chiasm.report._readable import by_data
from chiasm.report.page import Section
from chiasm.report.plots import Bar, bars

_DECIMALS = 3
_SHOWN_CAPTIONS = 20
_SHOWN_ANSWERS = 100
_BETWEEN_TEXTS = " · "


def caption_bars(results: Iterable[CaptionsResult]) -> list[blocks.Block]:
    """CIDEr-D of all models on each data set, beside the baseline's, which they share."""
    return [
        bars(
            [_bar(one.model, one.scores.cider_d) for one in own],
            "CIDEr-D",
            reference=("one caption for all", own[0].baseline.cider_d.value),
            num_decimals=_DECIMALS,
            title=data,
        )
        for data, own in by_data(results)
    ]


def answer_bars(results: Iterable[VqaResult]) -> list[blocks.Block]:
    """Accuracies of all models on each data set, beside the baseline's as it is for the first of them.

    Baselines differ only where a model could not read a picture that another could.
    """
    return [
        bars(
            [_bar(one.model, one.accuracy, 100) for one in own],
            "answers right, %",
            reference=("one answer for each kind", 100 * own[0].baseline.value),
            title=data,
        )
        for data, own in by_data(results)
    ]


def captioned(result: CaptionsResult) -> Section:
    """The baseline's caption, then the worst and the best captions beside what people wrote."""
    section = Section(
        f"{result.model} on {result.data}",
        f"The baseline says of every picture \u201c{result.baseline_caption}\u201d, the most typical caption of "
        f"{result.baseline_from}.",
    )
    worst = result.judged[:_SHOWN_CAPTIONS]
    best = result.judged[len(worst) :][-_SHOWN_CAPTIONS:][::-1]
    if not best:
        return section.add(blocks.Details(f"All {len(worst)} captions, the worst first", [_captions(worst)]))
    return section.add(
        blocks.Details(f"The {len(worst)} worst captions", [_captions(worst)]),
        blocks.Details(f"The {len(best)} best captions", [_captions(best)]),
    )


def answered(result: VqaResult) -> Section:
    """Each kind of question beside the baseline, then the wrong answers."""
    section = Section(
        f"{result.model} on {result.data}",
        f"The baseline answers all questions of a kind alike: what is most frequent in {result.baseline_from}.",
    )
    items = []
    for one in result.kinds:
        items.append(_bar(one.kind or "all questions", one.accuracy, 100))
        usual = f"always \u201c{one.baseline_answer}\u201d" if one.baseline_answer else "no answer known"
        items.append(Bar(usual, 100 * one.baseline, colour=palette.MUTED))
    section.add(bars(items, "answers right, %", title="By kind of question"))
    wrong = [one for one in result.judged if one.accuracy < 1]
    if wrong:
        section.add(blocks.Details(f"{len(wrong)} answers that not everybody agrees with", [_answers(wrong)]))
    return section


def _captions(shown: Sequence[JudgedCaption]) -> blocks.Table:
    written = formats.number(_DECIMALS)
    columns = [blocks.Column(name) for name in ("picture", "caption", "people wrote")]
    columns += [blocks.Column(name, "right", written) for name in ("CIDEr-D", "CLIPScore")]
    rows = [(one.key, one.text, _BETWEEN_TEXTS.join(one.expected), one.cider_d, one.clip_score) for one in shown]
    return blocks.Table(columns, rows)


def _answers(wrong: Sequence[JudgedAnswer]) -> blocks.Table:
    columns = [blocks.Column(name) for name in ("picture", "kind", "question", "answer", "people answered")]
    columns += [blocks.Column("right", "right", formats.number(_DECIMALS))]
    rows = [
        (one.key, one.kind, one.question, one.text, _BETWEEN_TEXTS.join(one.expected), one.accuracy)
        for one in wrong[:_SHOWN_ANSWERS]
    ]
    cut = f"The first {_SHOWN_ANSWERS} of them." if len(wrong) > _SHOWN_ANSWERS else ""
    return blocks.Table(columns, rows, cut)


def _bar(name: str, found: Estimate, factor: float = 1) -> Bar:
    return Bar(name, factor * found.value, (factor * found.low, factor * found.high))
