"""BLEU, CIDEr-D, CLIPScore and the accuracy of answers against formulas of the papers and the evaluation of COCO."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from chiasm.core.seeds import stream
from chiasm.ops.agreement import soft_accuracy
from chiasm.ops.bleu import bleu, bleu_counts
from chiasm.ops.cider import Consensus
from chiasm.ops.clip_score import clip_scores, ref_clip_scores
from chiasm.ops.vectors import unit_rows
from chiasm.ops.words import caption_words

FILE = Path(__file__).parents[1] / "fixtures" / "captions" / "scores.json"


@pytest.fixture(scope="module")
def judged() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def captions(judged) -> list[tuple[str, ...]]:
    return [caption_words(text) for text in judged["captions"]]


@pytest.fixture(scope="module")
def references(judged) -> list[list[tuple[str, ...]]]:
    return [[caption_words(text) for text in several] for several in judged["references"]]


def runs(words, length: int) -> list[tuple[str, ...]]:
    return [tuple(words[place : place + length]) for place in range(len(words) - length + 1)]


def slow_bleu(captions, references, longest: int) -> float:
    """Papineni et al., section 2.3: geometric mean of modified precisions times the brevity penalty."""
    logs = 0.0
    for length in range(1, longest + 1):
        matched = possible = 0
        for caption, several in zip(captions, references, strict=True):
            for run in set(runs(caption, length)):
                most = max(runs(one, length).count(run) for one in several)
                matched += min(runs(caption, length).count(run), most)
            possible += len(runs(caption, length))
        logs += math.log(matched / possible) / longest
    came = sum(map(len, captions))
    wanted = 0
    for caption, several in zip(captions, references, strict=True):
        lengths = sorted(len(one) for one in several)
        wanted += min(lengths, key=lambda length: abs(length - len(caption)))
    return math.exp(logs) * (1.0 if came > wanted else math.exp(1 - wanted / came))


def slow_cider(caption, several, references) -> float:
    """Vedantam et al., equations 1 and 2 and section 7, one run of words at a time."""
    total = 0.0
    for length in (1, 2, 3, 4):

        def weigh(words, length=length) -> dict:
            found = {}
            for run in set(runs(words, length)):
                holding = sum(any(run in runs(one, length) for one in group) for group in references)
                found[run] = runs(words, length).count(run) * math.log(len(references) / max(holding, 1))
            return found

        for one in several:
            mine, theirs = weigh(caption), weigh(one)
            dot = sum(min(weight, theirs.get(run, 0.0)) * theirs.get(run, 0.0) for run, weight in mine.items())
            norm = math.sqrt(sum(w * w for w in mine.values())) * math.sqrt(sum(w * w for w in theirs.values()))
            penalty = math.exp(-((len(caption) - len(one)) ** 2) / (2 * 6**2))
            total += 10 * penalty * (dot / norm if norm else 0.0) / len(several) / 4
    return total


def test_bleu_is_that_of_the_formula_and_of_coco(judged, captions, references) -> None:
    counts = bleu_counts(captions, references).sum(axis=0, keepdims=True).astype(float)
    found = bleu(counts)[0]
    np.testing.assert_allclose(found, [slow_bleu(captions, references, longest) for longest in (1, 2, 3, 4)])
    np.testing.assert_allclose(found, judged["bleu"], rtol=1e-9)
    assert 0.1 < found[3] < found[0] < 1


def test_bleu_punishes_captions_that_are_too_short(captions, references) -> None:
    short = [caption[:4] for caption in captions]
    counts = bleu_counts(short, references).sum(axis=0, keepdims=True).astype(float)
    np.testing.assert_allclose(bleu(counts)[0, :2], [slow_bleu(short, references, longest) for longest in (1, 2)])


def test_cider_is_that_of_the_formula_and_of_coco(judged, captions, references) -> None:
    found = Consensus(references).scores(captions)
    slow = [slow_cider(one, several, references) for one, several in zip(captions, references, strict=True)]
    np.testing.assert_allclose(found, slow, atol=1e-12)
    np.testing.assert_allclose(found, judged["cider"], atol=1e-9)
    assert found[-1] == 0
    assert found.max() > 2


def test_the_most_typical_caption_has_the_highest_mean_cosine_with_all(references) -> None:
    consensus = Consensus(references)

    def cosine(left, right) -> float:
        total = 0.0
        for mine, theirs, a, b in zip(left.weights, right.weights, left.norms, right.norms, strict=True):
            total += sum(weight * theirs.get(run, 0.0) for run, weight in mine.items()) / (a * b) if a * b else 0.0
        return total

    weighed = [[consensus.weigh(words) for words in several] for several in references]
    scores = {
        (picture, place): sum(np.mean([cosine(one, other) for other in group]) for group in weighed)
        for picture, several in enumerate(weighed)
        for place, one in enumerate(several)
    }
    best = max(scores.values())
    found = consensus.most_typical()
    assert scores[found] == pytest.approx(best)
    assert best > 1.2 * sum(scores.values()) / len(scores)


def test_clip_scores_are_those_of_the_formula() -> None:
    draw = stream(0, "clip score")
    pictures, captions = (unit_rows(draw.normal(size=(20, 6)))[0] for _ in range(2))
    references = [unit_rows(draw.normal(size=(draw.integers(1, 6), 6)))[0] for _ in range(20)]
    scores = clip_scores(pictures, captions)
    both = ref_clip_scores(scores, captions, references)
    for picture, caption, several, score, with_references in zip(
        pictures, captions, references, scores, both, strict=True
    ):
        clip = 2.5 * max(sum(a * b for a, b in zip(picture, caption, strict=True)), 0)
        alike = max(max(sum(a * b for a, b in zip(one, caption, strict=True)) for one in several), 0)
        assert score == pytest.approx(clip)
        expected = 2 / (1 / clip + 1 / alike) if clip > 0 and alike > 0 else 0.0
        assert with_references == pytest.approx(expected)
    assert (scores == 0).any()
    assert (scores > 0).any()


@pytest.mark.parametrize("num_people", range(1, 12))
def test_soft_accuracy_is_the_mean_over_those_who_are_left_when_one_is_left_out(num_people: int) -> None:
    for num_same in range(num_people + 1):
        given = ["cat"] * num_same + [f"other {number}" for number in range(num_people - num_same)]
        if num_people == 1:
            expected = float(num_same)
        else:
            enough = min(3, num_people - 1)
            rest = itertools.combinations(given, num_people - 1)
            expected = sum(min(left.count("cat") / enough, 1) for left in rest) / num_people
        assert soft_accuracy("cat", given) == pytest.approx(expected)


def test_soft_accuracy_of_ten_people_is_as_published() -> None:
    """Three of ten: seven ways leave all three, three ways leave two of them."""
    given = ["cat"] * 3 + ["dog"] * 7
    assert soft_accuracy("cat", given) == pytest.approx(0.9)
    assert soft_accuracy("dog", given) == 1
    assert soft_accuracy("cow", given) == 0
