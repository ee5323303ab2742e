"""Telling: captions of pictures, and answers to questions about them, each with how sure the model is."""

from __future__ import annotations

from chiasm.core.example import Source
from chiasm.core.predictors import Answers
from chiasm.data.open import open_source
from chiasm.evaluate._answer_scores import KindScore
from chiasm.evaluate.captions import CaptionsResult
from chiasm.evaluate.captions import captions as judge_captions
from chiasm.evaluate.vqa import VqaResult, vqa
from chiasm.report import blocks, pictures
from chiasm.report.page import Section
from chiasm.report.plots import Bar, bars
from chiasm.serve.writer import open_writer
from chiasm.surfaces.tour._run import Tour
from chiasm.surfaces.tour._share import share
from chiasm.tasks.caption import Caption, caption
from chiasm.weights.find import STARTER

ORDER = 74
SCENES = "world:compositional?size=64&seed=2&close_up=0.5&length=150"
SHOWN = "world:compositional?size=64&seed=2&close_up=0.5&length=12"
QUESTIONS_SHOWN = 2


def telling(tour: Tour) -> Section:
    """Let the starter describe scenes that it never saw and answer questions about them."""
    writer = open_writer(STARTER)
    scenes, shown = open_source(SCENES), open_source(SHOWN)
    told = judge_captions([writer], data=[scenes], bootstrap=500, seed=tour.seed).results[0]
    answered = vqa([writer], data=[scenes], bootstrap=500, seed=tour.seed).results[0]
    questions = {
        shown.key(place): [one.question for one in shown.read(place).questions[:QUESTIONS_SHOWN]]
        for place in range(len(shown))
    }
    captions = caption(writer, shown).captions
    answers = writer.answer(shown, questions)
    if told.named_right is not None:
        tour.say(f"{told.named_right.value:.1%} of {told.num_named} named objects are there, in the colour told")
    tour.say(f"{answered.accuracy.value:.1%} of {answered.num_questions} questions answered right")
    return Section(
        "Telling",
        "The same model writes. A caption tells what it sees, an answer what was asked; both come with the probability "
        "of a word on average. Half of the pictures show one thing from near, the others a scene, in colours that it "
        "never saw these things in.",
    ).add(
        blocks.Figures(_figures(told, answered)),
        blocks.Heading("Captions, and answers to questions"),
        pictures.Pictures([_shown(shown, place, one, answers) for place, one in enumerate(captions)], min_width_px=200),
        bars(
            [_bar(one) for one in answered.kinds],
            "% of answers that are right",
            title="By what is asked",
            caption="Bars are 95 % intervals.",
        ),
        blocks.Details(
            "The commands",
            [
                blocks.Command(
                    f"chiasm caption {STARTER} --data '{SHOWN}'\n"
                    f"chiasm ask {STARTER} --data '{SHOWN}' --question 'How many objects are there?'\n"
                    f"chiasm evaluate vqa {STARTER} --data '{SCENES}'"
                )
            ],
        ),
    )


def _figures(told: CaptionsResult, answered: VqaResult) -> list[blocks.Figure]:
    return [
        share("named objects that are there", told.named_right, f"of {told.num_named} in captions, with their colours"),
        share(
            "questions answered right",
            answered.accuracy,
            f"one answer for each kind: {100 * answered.baseline.value:.1f} %",
        ),
    ]


def _bar(kind: KindScore) -> Bar:
    right = kind.accuracy
    return Bar(kind.kind, 100 * right.value, (100 * right.low, 100 * right.high))


def _shown(scenes: Source, place: int, told: Caption, answers: Answers) -> pictures.Picture:
    """A scene with what was said about it, and whether the answers are right."""
    example = scenes.read(place)
    right = {one.question: one.answer for one in example.questions}
    lines = [told.text + _sure(told.certainty)]
    for (key, question), text in answers.texts.items():
        if key == example.key:
            verdict = "✓" if text == right[question] else f"✗ ({right[question]})"
            lines.append(f"{question} {text} {verdict}")
    return pictures.Picture.of(example.picture, f"scene: {example.captions[0]}", " · ".join(lines))


def _sure(certainty: float | None) -> str:
    return "" if certainty is None else f" ({certainty:.0%})"
