"""Pages of evaluations: everything that was found stands on them, and nothing is missing that they need."""

from __future__ import annotations

import re

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.evaluate import Evaluation, Pages, Result
from chiasm.evaluate._answer import Missing
from chiasm.evaluate._answer_scores import JudgedAnswer, KindScore
from chiasm.evaluate._caption_scores import CaptionScores, JudgedCaption
from chiasm.evaluate._scores import Judgement, score
from chiasm.evaluate.captions import CaptionsResult
from chiasm.evaluate.compare import ClassContest, Contest
from chiasm.evaluate.few_shot import FewShotResult
from chiasm.evaluate.vqa import VqaResult
from chiasm.report.evaluation import EvaluationPages
from chiasm.report.plots import reliability

PAGES = EvaluationPages("2026-03-01 14:05")
SOME = Estimate(value=0.5, low=0.4, high=0.6)


def judgement(model: str, num_classes: int) -> Judgement:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, num_classes, 60)
    scores = generator.random((60, num_classes)) + np.eye(num_classes)[labels]
    names = [f"class <{place}>" for place in range(num_classes)]
    found = score(scores / scores.sum(axis=1, keepdims=True), labels, names, 20, 0)
    return Judgement(model=model, fingerprint="f", data="photos", skipped={"a.png": "torn"}, scores=found)


def test_answers_about_classes(tmp_path) -> None:
    assert isinstance(PAGES, Pages)
    missing = (Missing(model="blind", data="photos", reason="expected words & more"),)
    results = (judgement("one", 3), judgement("other", 8))
    PAGES.classification(tmp_path / "r.html", Evaluation[Judgement](evaluation="knn", results=results, missing=missing))
    html = (tmp_path / "r.html").read_text()
    assert html.count("Reliability plot of 60 answers") >= 2
    assert html.count("Confusion matrix of") >= 2
    for text in (
        "class &lt;2&gt;",
        "expected words &amp; more",
        "macro F1",
        "All 8 classes",
        "1 pictures left out",
    ):
        assert text in html, text
    assert not re.search(r'(src|href)="https?:', html)


def test_few_shot_curves(tmp_path) -> None:
    rows = [
        FewShotResult(
            model=model,
            fingerprint="f",
            data="photos",
            skipped={},
            train="t",
            shots=shots,
            accuracy=SOME,
            balanced_accuracy=SOME,
            accuracies=(0.4, 0.6),
            num_short=0,
            num_test=9,
        )
        for model in ("one", "other")
        for shots in (1, 5)
    ]
    PAGES.curves(tmp_path / "r.html", Evaluation[FewShotResult](evaluation="few-shot", results=tuple(rows)))
    html = (tmp_path / "r.html").read_text()
    assert "one: from 50 at 1 to 50 at 5" in html
    assert "0.500\n0.400 to 0.600" in html


@pytest.mark.parametrize(("better", "verdict"), [("one", "one is better."), (None, "The difference may be noise.")])
def test_contests(tmp_path, better, verdict) -> None:
    by_class = {"cat": ClassContest(model=1, baseline=0, difference=1, p_value=0.5, support=2)}
    contest = Contest(
        model="one",
        fingerprint="f",
        data="photos",
        skipped={},
        baseline="other",
        by="knn",
        accuracy=SOME,
        baseline_accuracy=SOME,
        difference=SOME,
        num_only_model=2,
        num_only_baseline=0,
        p_value=0.5,
        better=better,
        num_test=9,
        per_class=by_class,
    )
    PAGES.contests(tmp_path / "r.html", Evaluation[Contest](evaluation="compare", results=(contest,)))
    html = (tmp_path / "r.html").read_text()
    assert verdict in html
    assert "cat" in html


def captions_result(model: str, data: str, num_pictures: int) -> CaptionsResult:
    scores = CaptionScores(
        bleu_1=SOME, bleu_2=SOME, bleu_3=SOME, bleu_4=SOME, cider_d=SOME, clip_score=None, ref_clip_score=None
    )
    texts = [
        JudgedCaption(key=f"{place}.png", text=f"said <{place}>", expected=("a", "b"), cider_d=place, clip_score=None)
        for place in range(num_pictures)
    ]
    return CaptionsResult(
        model=model,
        fingerprint="f",
        data=data,
        skipped={"torn.png": "torn"},
        scorer=None,
        scores=scores,
        baseline=scores.model_copy(update={"cider_d": Estimate(value=0.125, low=0, high=0.2)}),
        baseline_caption="a <typical> one",
        baseline_from="train",
        named_right=None,
        num_named=0,
        num_pictures=num_pictures,
        num_missing=0,
        judged=tuple(texts),
    )


def test_captions(tmp_path) -> None:
    results = (captions_result("one", "many", 50), captions_result("two", "many", 50), captions_result("one", "few", 5))
    PAGES.captions(tmp_path / "r.html", Evaluation[CaptionsResult](evaluation="captions", results=results))
    html = (tmp_path / "r.html").read_text()
    # One plot for each data set, with what its models are to beat.
    assert html.count("Bars of CIDEr-D.") == html.count("one caption for all: 0.125.") > 0
    assert "one: 0.500 (interval 0.400 to 0.600); two: 0.500" in html
    assert html.count("a &lt;typical&gt; one") == 3
    assert html.count("1 pictures left out") == 3
    assert html.count("The 20 worst captions") == html.count("The 20 best captions") == 2
    assert html.count("All 5 captions, the worst first") == 1
    many = html[html.index("The 20 worst captions") : html.index("1 pictures left out")]
    shown = [int(place) for place in re.findall(r"said &lt;(\d+)&gt;", many)]
    assert shown == [*range(20), *range(49, 29, -1)]
    assert "a · b" in many


def vqa_result(num_wrong: int) -> VqaResult:
    kinds = [
        KindScore(kind=kind, accuracy=SOME, baseline=0.25, baseline_answer="re<d>", num_questions=2)
        for kind in ("colour", "")
    ]
    answers = [
        JudgedAnswer(
            key="a.png",
            kind="colour",
            question="What colour?",
            text=f"said <{place}>",
            expected=("red", "dark red"),
            accuracy=float(place >= num_wrong),
        )
        for place in range(num_wrong + 1)
    ]
    return VqaResult(
        model="one",
        fingerprint="f",
        data="photos",
        skipped={},
        num_choices=0,
        accuracy=SOME,
        baseline=SOME,
        baseline_from="train",
        mean_over_kinds=0.5,
        num_questions=4,
        num_pictures=3,
        num_missing=0,
        kinds=tuple(kinds),
        judged=tuple(answers),
    )


@pytest.mark.parametrize(("num_wrong", "num_shown"), [(0, 0), (2, 2), (120, 100)])
def test_questions(tmp_path, num_wrong, num_shown) -> None:
    results = (vqa_result(num_wrong),)
    PAGES.questions(tmp_path / "r.html", Evaluation[VqaResult](evaluation="vqa", results=results))
    html = (tmp_path / "r.html").read_text()
    assert "one: 50.0 (interval 40.0 to 60.0). one answer for each kind: 50." in html
    told = "colour: 50.0 (interval 40.0 to 60.0); always “re&lt;d&gt;”: 25.0; all questions: 50.0"
    assert told in html
    shown = [int(place) for place in re.findall(r"said &lt;(\d+)&gt;", html)]
    assert shown == list(range(num_shown))
    assert (f"{num_wrong} answers that not everybody agrees with" in html) is (num_wrong > 0)
    assert ("The first 100 of them." in html) is (num_wrong > 100)
    assert ("red · dark red" in html) is (num_wrong > 0)


def test_any_other_evaluation(tmp_path) -> None:
    class Counted(Result):
        def figures(self):
            return {"things": 3, "share": 0.0, "nothing": None}

    one = Counted(model="m", fingerprint="f", data="d", skipped={})
    PAGES.plain(tmp_path / "r.html", Evaluation[Counted](evaluation="counting", results=(one,)))
    html = (tmp_path / "r.html").read_text()
    assert "Evaluation: counting" in html
    assert "0.000" in html


def test_a_plot_of_no_answers_is_refused() -> None:
    with pytest.raises(InputError, match="at least one answer"):
        reliability(np.zeros(15), np.zeros(15), np.zeros(15, int))
